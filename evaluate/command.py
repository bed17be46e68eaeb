"""What `wordtell evaluate` does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from evaluate import figures, report
from evaluate.errors import EmptyClass, EvaluateError
from evaluate.figures import Interval, Judged
from evaluate.scoring import score
from evaluate.texts import read_labelled


def evaluate(  # noqa: PLR0913, PLR0917 - what the command takes
    file: Path, model: str, against: str | None, out: Path | None, single_spaces: bool, key: str | None
) -> str:
    """The table, as Markdown; the whole report goes into the folder `out`. Raises WordtellError."""
    texts = read_labelled(file, single_spaces)
    machine = sum(int(text.labels.sum()) for text in texts)
    words = sum(len(text.labels) for text in texts)
    if machine in (0, words):
        raise EmptyClass(file.name, "a person" if machine else "a machine", len(texts))
    judged: dict[str, Judged] = {}
    for one in (model, against):
        if one is not None:
            scored = score(one, [text.text for text in texts], key)
            name = scored.version if scored.version not in judged else f"{scored.version} ({one})"
            judged[name] = Judged(texts, scored)
    columns: dict[str, dict[str, Interval]] = {
        name: figures.with_intervals(partial(figures.measure, one), len(texts)) for name, one in judged.items()
    }
    if against is not None:
        columns["difference"] = figures.difference(*judged.values())
    heading = {
        "file": file.name,
        "texts": len(texts),
        "wholly human texts": sum(text.human for text in texts),
        "words": words,
        "machine words": machine,
    }
    if out is not None:
        try:
            report.write(out, heading, columns, judged)
        except OSError as error:
            raise EvaluateError(f"{out}: {error.strerror}: name another folder with --out") from None
    return ", ".join(f"{name}: {value}" for name, value in heading.items()) + "\n\n" + report.table(columns)

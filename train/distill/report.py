"""The report that compares teacher and student: quality, size, speed, and which of them to serve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from evaluate import figures
from evaluate import report as evaluation
from evaluate.figures import Interval, Judged
from evaluate.scoring import Scored, score
from evaluate.texts import Text
from train.distill.texts import Piece

REQUEST_WORDS = 120 * 350
"""Words of the request that speeds are told for: 120 texts of 350 words."""

AUC = "word ROC-AUC"
_WEIGHTS = (".safetensors", ".bin", ".onnx", ".data")


@dataclass(frozen=True)
class Served:
    """A measured model. bytes: of its weights. words_per_second: on all cores of this machine."""

    name: str
    bytes: int
    words_per_second: float

    @property
    def seconds(self) -> float:
        """The seconds of a request of REQUEST_WORDS words."""
        return REQUEST_WORDS / self.words_per_second


def weights(path: Path) -> int:
    """The bytes of the weights of a checkpoint or a model folder."""
    return sum(file.stat().st_size for file in path.iterdir() if file.suffix in _WEIGHTS)


def compare(teacher: Path, student: Path, judge: Sequence[Piece], limit: float | None, out: Path) -> str:
    """Score the judging texts with both models, write the report to `out`, and return it in Markdown."""
    scored = {
        name: score(str(path), [piece.text for piece in judge])
        for name, path in (("teacher", teacher), ("student", student))
    }
    words = sum(len(one) for one in scored["teacher"].scores)
    served = [
        Served(name, weights(path), words / scored[name].seconds)
        for name, path in (("teacher", teacher), ("student", student))
    ]
    columns, judged = _quality(judge, scored)
    heading = {
        "texts": len(judge),
        "with labels": sum(piece.labels is not None for piece in judge),
        "words": words,
        **{f"{one.name}, version": scored[one.name].version for one in served},
    }
    told = [evaluation.table(columns), "", *_table(served), "", advise(served, columns, limit)]
    evaluation.write(out, heading, columns, judged)
    body = json.loads((out / "report.json").read_text(encoding="utf-8"))
    body["served"] = {
        one.name: {"bytes": one.bytes, "words_per_second": round(one.words_per_second, 1)} for one in served
    }
    (out / "report.json").write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with (out / "report.md").open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(told[2:]) + "\n")
    return "\n".join(told)


def _quality(
    judge: Sequence[Piece], scored: Mapping[str, Scored]
) -> tuple[dict[str, dict[str, Interval]], dict[str, Judged]]:
    """The figures of both on labelled texts, if both classes occur, and their distance on all texts."""
    places = [index for index, piece in enumerate(judge) if piece.labels is not None]
    texts = [
        Text(judge[index].text, found, np.arange(len(found) + 1), None)
        for index in places
        if (found := judge[index].labels) is not None
    ]
    columns: dict[str, dict[str, Interval]] = {"teacher": {}, "student": {}}
    judged: dict[str, Judged] = {}
    if {0, 1} <= {label for text in texts for label in text.labels.tolist()}:
        for name, one in scored.items():
            some = Scored(one.version, [one.scores[i] for i in places], [one.thresholds[i] for i in places])
            judged[name] = Judged(texts, some)
            columns[name] = figures.with_intervals(partial(figures.measure, judged[name]), len(texts))
        columns["difference"] = figures.difference(judged["teacher"], judged["student"])
    columns["student"] |= figures.with_intervals(_nearness(scored["teacher"], scored["student"]), len(judge))
    return columns, judged


def _nearness(teacher: Scored, student: Scored) -> figures.Measured:
    distance = np.array([np.abs(a - b).sum() for a, b in zip(teacher.scores, student.scores, strict=True)])
    alike = np.array([((a > 0.5) == (b > 0.5)).sum() for a, b in zip(teacher.scores, student.scores, strict=True)])
    words = np.array([len(one) for one in teacher.scores])

    def measured(counts: figures.Floats | None) -> dict[str, float]:
        counts = np.ones(len(words)) if counts is None else counts
        total = float((words * counts).sum())
        return {
            "mean distance from the teacher's scores": float((distance * counts).sum()) / total,
            "words on the teacher's side of 0.5": float((alike * counts).sum()) / total,
        }

    return measured


def _table(served: Sequence[Served]) -> list[str]:
    rows = (
        ("weights, MB", [f"{one.bytes / 1e6:.1f}" for one in served]),
        ("words a second, as given, on this machine", [f"{one.words_per_second:,.0f}" for one in served]),
        (f"seconds for {REQUEST_WORDS:,} words (120 texts of 350)", [f"{one.seconds:.2f}" for one in served]),
    )
    head = "| | " + " | ".join(one.name for one in served) + " |"
    return [head, "| --- " * (len(served) + 1) + "|", *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)]


def advise(served: Sequence[Served], columns: Mapping[str, Mapping[str, Interval]], limit: float | None) -> str:
    """Which of teacher and student to serve. limit: the most seconds of a request.

    The more accurate one that keeps the limit, or the faster one if the texts show no difference in accuracy.
    """
    teacher, student = served
    request = f"{REQUEST_WORDS:,} words"
    gain = columns.get("difference", {}).get(AUC)
    apart = gain is not None and (gain.high < 0 or gain.low > 0)
    better = teacher if gain is not None and gain.high < 0 else student
    kept = [one for one in served if limit is None or one.seconds <= limit]
    if not kept:
        faster = min(served, key=lambda one: one.seconds)
        return (
            f"Advice: neither keeps {limit:g} s for {request}; the {faster.name} takes {faster.seconds:.2f} s."
            " Convert it (`make convert`), give it more cores, or distil a smaller student."
        )
    within = "" if limit is None else f" within {limit:g} s"
    if len(kept) == 1:
        return f"Advice: serve the {kept[0].name}, the only one that does {request}{within} ({kept[0].seconds:.2f} s)."
    if apart:
        return f"Advice: serve the {better.name}: both do {request}{within}, and its {AUC} is the higher."
    faster = min(kept, key=lambda one: one.seconds)
    reason = f"the texts do not tell their {AUC} apart" if gain is not None else "no labels tell them apart"
    return f"Advice: serve the {faster.name}: {reason}, and it takes {faster.seconds:.2f} s for {request}."

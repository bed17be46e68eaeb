"""`wordtell score`: one text, its words coloured."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from bento import passages, settings
from bento.detector import Detector, Scores
from bento.errors import InvalidRequest
from bento.text import words

# From "surely a person" to "surely a machine"; the steps between are even.
_COLOURS = ("green4", "green3", "chartreuse3", "yellow3", "orange3", "dark_orange3", "red3", "bright_red")


def score(
    file: Annotated[str, typer.Argument(help="A text file (UTF-8), or - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print words, passages and a summary as JSON.")] = False,
    list_spans: Annotated[bool, typer.Option("--spans", help="Print the machine's passages, a line each.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Also draw what is printed into this SVG file.")] = None,
) -> None:
    """Print a text of any length with each word coloured by the probability that a machine wrote it."""
    text = _read(file)
    where = words.split(text)
    if not len(where):
        raise InvalidRequest(f"{file} is blank: give a file with at least one word")
    detector = Detector.load(settings.load().settings)
    try:
        found = _score(detector, text)
    finally:
        detector.close()
    probabilities = [round(float(value), 4) for value in found.words[0]]
    threshold = detector.threshold_for(len(probabilities))
    spans = passages.find(text, probabilities, threshold)
    if as_json:
        pairs = zip((text[start:stop] for start, stop in where), probabilities, strict=True)
        body = {
            "model_version": detector.version,
            "words": [{"word": word, "probability": probability} for word, probability in pairs],
            "threshold": threshold.model_dump(exclude_none=True),
            "spans": [span.model_dump() for span in spans],
            "summary": passages.summarise(probabilities, spans, threshold).model_dump(exclude_none=True),
        }
        print(json.dumps(body, ensure_ascii=False))
        return
    if list_spans:
        for span in spans:
            print(f"{span.first_word}-{span.last_word}\t{span.probability:.4f}\t{_line(text[span.start : span.end])}")
        return
    console = Console(highlight=False, soft_wrap=svg is None, width=100 if svg else None, record=svg is not None)
    console.print(_coloured(text.rstrip(), where.tolist(), probabilities))
    mean = sum(probabilities) / len(probabilities)
    console.print(Text(f"\n{len(probabilities)} words, mean probability {mean:.2f} ({detector.version})", style="dim"))
    console.print(
        Text.assemble("a person ", *((f" {i / 8:.2f} ", f"reverse {c}") for i, c in enumerate(_COLOURS)), " a machine")
    )
    if svg:
        picture = console.export_svg(title=f"wordtell score {file}")
        # Without the fonts that it would fetch from the network.
        svg.write_text(re.sub(r"@font-face {.*?}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")


def _read(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file} is not UTF-8 text (byte {error.start}): convert it first") from None
    except OSError as error:
        raise InvalidRequest(f"{file}: {error.strerror}") from None


def _score(detector: Detector, text: str) -> Scores:
    bar = Progress(
        TextColumn("scoring"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    )
    with bar:
        task = bar.add_task("", total=len(detector.window_tokens(text)))
        return asyncio.run(detector.score([text], lambda: bar.advance(task)))


def _line(text: str) -> str:
    """A text as one line of a table, without what moves a terminal's cursor."""
    return "".join(one if one.isprintable() else " " for one in text)


def _coloured(text: str, spans: list[list[int]], probabilities: list[float]) -> Text:
    coloured = Text(text)
    for (start, stop), probability in zip(spans, probabilities, strict=True):
        coloured.stylize(_COLOURS[min(int(probability * len(_COLOURS)), len(_COLOURS) - 1)], start, stop)
    return coloured

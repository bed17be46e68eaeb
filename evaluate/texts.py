"""JSON Lines -> labelled texts.

A line is an object with `text` and one of

labels    0 (a person) or 1 (a machine) for each word
spans     [[start, end], ...]: the machine's passages, in Unicode code points
label     0 or 1 for the whole text
boundary  how many words a person wrote before the machine went on

A word is one of `str.split()`, or, with `single_spaces`, one of `str.split(" ")`, as SemEval-2024 task 8C counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bento.text import words
from bento.types import IntArray
from evaluate.errors import BadLine, EvaluateError

_KINDS = ("labels", "spans", "label", "boundary")


@dataclass(frozen=True)
class Text:
    """labels: [words], 0 or 1, for the words of `text.split()`.

    places: [words + 1], the number of each word, and of the text's end, in the counting of the file.
    boundary: in the same counting, where the machine goes on to the end after a person; None where it does not.
    """

    text: str
    labels: IntArray
    places: IntArray
    boundary: int | None

    @property
    def human(self) -> bool:
        """Whether a person wrote all of it."""
        return not self.labels.any()


def read_labelled(path: Path, single_spaces: bool = False) -> list[Text]:
    """The texts of a file. Raises BadLine, which names the line, what it has and what it should have."""
    found = []
    for number, line in _lines(path):
        try:
            found.append(_labelled(line, single_spaces))
        except ValueError as error:
            raise BadLine(path.name, number, str(error)) from None
    return found


def read(path: Path) -> list[tuple[str, IntArray | None]]:
    """The texts of a file and the labels [words] of each, None for a line that has none. Raises BadLine."""
    found: list[tuple[str, IntArray | None]] = []
    for number, line in _lines(path):
        try:
            labelled = any(kind in line for kind in _KINDS)
            found.append((_text(line), _labelled(line, False).labels if labelled else None))
        except ValueError as error:
            raise BadLine(path.name, number, str(error)) from None
    return found


def read_human(path: Path) -> list[str]:
    """The texts of a file whose lines need only `text`. Lines with machine-written words are refused."""
    found = []
    for number, line in _lines(path):
        try:
            text = _text(line)
            if any(kind in line for kind in _KINDS) and not _labelled(line, False).human:
                raise ValueError("a machine wrote of this text: leave it out, thresholds are ranked by human ones")
        except ValueError as error:
            raise BadLine(path.name, number, str(error)) from None
        found.append(text)
    return found


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise EvaluateError(f"{path} is not UTF-8 text (byte {error.start}): convert it first") from None
    except OSError as error:
        raise EvaluateError(f"{path}: {error.strerror}") from None
    if not any(line.strip() for line in lines):
        raise EvaluateError(f"{path} is empty: give JSON Lines, an object with text a line")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise BadLine(path.name, number, f"is not JSON ({error})") from None
        if not isinstance(found, dict):
            raise BadLine(path.name, number, "is no object: give one with text and labels")
        yield number, found


def _text(line: dict[str, Any]) -> str:
    text = line.get("text")
    if not isinstance(text, str):
        raise ValueError("the key text is missing, or is not a string")
    if not text.strip():
        raise ValueError("text is blank: leave the line out")
    return text


def _labelled(line: dict[str, Any], single_spaces: bool) -> Text:
    text = _text(line)
    given = [kind for kind in _KINDS if kind in line]
    if len(given) != 1:
        raise ValueError(f"has {' and '.join(given) or 'no labels'}: give one of {', '.join(_KINDS)}")
    where, value = words.split(text), line[given[0]]
    if single_spaces:
        spaces = np.cumsum([0, *(character == " " for character in text)])
        places = np.append(spaces[where[:, 0]], text.count(" ") + 1)
    else:
        places = np.arange(len(where) + 1)
    labels = _READ[given[0]](value, text, where, places)
    edges = np.flatnonzero(np.diff(labels))
    ends = len(edges) == 1 and labels[-1] == 1
    return Text(
        text, labels, places, int(value) if given[0] == "boundary" else int(places[edges[0] + 1]) if ends else None
    )


def _of_labels(value: Any, _: str, where: IntArray, places: IntArray) -> IntArray:
    count = int(places[-1])
    if not isinstance(value, list) or any(label not in (0, 1) for label in value):
        raise ValueError("labels has to be a list of 0 (a person) and 1 (a machine)")
    if len(value) != count:
        raise ValueError(f"labels has {len(value)} values, the text has {count} words")
    return np.asarray(value, dtype=np.int64)[places[:-1]]


def _of_spans(value: Any, text: str, where: IntArray, _: IntArray) -> IntArray:
    labels = np.zeros(len(where), dtype=np.int64)
    if not isinstance(value, list):
        raise ValueError("spans has to be a list of [start, end]")
    for span in value:
        if not (isinstance(span, list) and len(span) == 2 and all(type(edge) is int for edge in span)):
            raise ValueError(f"spans has {json.dumps(span)[:80]}: give [start, end], two whole numbers")
        start, end = span
        if not 0 <= start < end <= len(text):
            raise ValueError(f"spans has [{start}, {end}], the text has {len(text)} characters")
        labels[(where[:, 0] < end) & (where[:, 1] > start)] = 1
    return labels


def _of_label(value: Any, _: str, where: IntArray, __: IntArray) -> IntArray:
    if value not in (0, 1):
        raise ValueError(f"label is {json.dumps(value)[:80]}: it has to be 0 (a person) or 1 (a machine)")
    return np.full(len(where), int(value), dtype=np.int64)


def _of_boundary(value: Any, _: str, where: IntArray, places: IntArray) -> IntArray:
    if type(value) is not int or not 0 <= value <= places[-1]:
        raise ValueError(
            f"boundary is {json.dumps(value)[:80]}: it has to be from 0 to {places[-1]}, the words before it"
        )
    return (places[:-1] >= value).astype(np.int64)


_READ = {"labels": _of_labels, "spans": _of_spans, "label": _of_label, "boundary": _of_boundary}

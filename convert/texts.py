"""The texts that a conversion is verified on: built in, of all lengths, and those of the user."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bento.text import words
from convert.errors import TextsError

# From one word to more than one window.
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 350, 900)
_SENTENCES = (
    "The committee met on Tuesday, and after a long debate it agreed to postpone the vote until spring.",
    "Who wrote this?",
    "Prices rose by 3.7 % — “a surprise”, said the minister; naïve models (and others) had missed it 😀.",
    "In conclusion, it is important to note that a balanced approach offers numerous benefits for all stakeholders.",
    "I've lost my keys again... second time this week!!",
    "Dear Sir or Madam, please find enclosed the invoice no. 2026-114/B for 1,250.00 EUR.",
    "My grandmother kept bees behind the barn, and she talked to them as if they were cousins.",
    "def mean(values): return sum(values) / len(values)  # raises ZeroDivisionError",
    "See https://example.org/a?b=c&d=e or write to team@example.org before 09:30.",
    "Furthermore, leveraging these insights enables organisations to foster innovation and drive sustainable growth.",
    "The river, which had been low all summer, came up in one night and took the footbridge with it.",
    "WARNING: DO NOT OPEN WHILE RUNNING.",
    "Der Zug nach Zürich fährt heute von Gleis 7, пожалуйста проверьте, 請確認時間.",
    "She said no, then yes, then nothing at all; we waited, the two of us, until the lamp went out.",
    "As a result, the model demonstrates robust performance across a wide range of diverse tasks and domains.",
    "lol no idea tbh, ask Sam",
)


# What the sensitivity of each MatMul is measured on: several kinds of text in some eighty tokens.
CALIBRATION = " ".join(_SENTENCES[:4])


@dataclass(frozen=True)
class Text:
    """A text to verify on. labels: 1 for each word that a machine wrote, else 0; None where nobody knows."""

    text: str
    labels: tuple[int, ...] | None = None


def built_in() -> tuple[Text, ...]:
    """One text of each length; the same every time."""
    shuffle = np.random.default_rng(0).permutation
    found = []
    for length in LENGTHS:
        drawn: list[str] = []
        while len(drawn) < length:
            drawn += " ".join(_SENTENCES[index] for index in shuffle(len(_SENTENCES))).split()
        found.append(Text(" ".join(drawn[:length])))
    return tuple(found)


def read(path: Path) -> tuple[Text, ...]:
    """A text a line: plain, or JSON objects {"text": "...", "labels": [0, 1, ...]}, a label a word, if known.

    UTF-8, with a byte order mark or without. A line ends at \\n or \\r\\n, and nowhere else: other characters that end
    lines for Unicode (U+2028, say) are text. Raises TextsError, naming the line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TextsError(path, f"cannot be read ({error.strerror})") from None
    lines = raw.removeprefix(codecs.BOM_UTF8).split(b"\n")
    found = tuple(_parse(path, number, line) for number, line in enumerate(lines, 1) if line.strip())
    if not found:
        raise TextsError(path, "holds no text")
    return found


def _parse(path: Path, number: int, raw: bytes) -> Text:
    try:
        line = raw.decode().removesuffix("\r")
    except UnicodeDecodeError as error:
        raise TextsError(path, f"line {number} is not UTF-8 ({error.reason} at byte {error.start + 1})") from None
    if not line.lstrip().startswith("{"):
        return Text(line)
    try:
        entry = json.loads(line)
        text, labels = entry["text"], entry.get("labels")
        if not isinstance(text, str) or not set(entry) <= {"text", "labels"}:
            raise ValueError("wants a string `text` and perhaps `labels`, nothing else")
        if not text.isascii():
            text.encode()  # half a surrogate pair is no text
        if labels is not None and (len(labels) != len(words.split(text)) or not set(labels) <= {0, 1}):
            raise ValueError(f"wants {len(words.split(text))} labels of 0 or 1, one a word")
    except UnicodeEncodeError:
        raise TextsError(path, f"line {number} holds half a surrogate pair, which is no character") from None
    except json.JSONDecodeError as error:
        reason = f"no JSON: {error.msg} at character {error.pos + 1}"
        raise TextsError(path, f"line {number} is not a text with labels ({reason})") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TextsError(path, f"line {number} is not a text with labels ({error})") from None
    return Text(text, None if labels is None else tuple(labels))

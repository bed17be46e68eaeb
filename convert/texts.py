"""The texts that a conversion is calibrated and verified on, and those of the user.

No text of the calibration is verified on. convert/data/README.md says where the prose is from.
"""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from bento.text import words
from convert import made
from convert.errors import TextsError

# From one word to more than one window.
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 350, 900)
# The first of these are used for what is slow: kernels of instruction sets below this machine's.
SHORT = 11
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


_PROSE = Path(__file__).parent / "data" / "prose.jsonl.gz"
# One passage of prose in so many calibrates, the others verify.
_CALIBRATES = 6
# Passages of prose for each text that is made.
_PROSE_FOR_MADE = 6


@dataclass(frozen=True)
class Text:
    """A text to verify on. labels: 1 for each word that a machine wrote, else 0; None if unknown."""

    text: str
    labels: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Asked:
    """What a folder is asked. first: how many of the texts are timed, and asked alone too."""

    texts: tuple[Text, ...]
    first: int


def ladder() -> tuple[Text, ...]:
    """One text of each of LENGTHS; the same every time."""
    shuffle = np.random.default_rng(0).permutation
    found = []
    for length in LENGTHS:
        drawn: list[str] = []
        while len(drawn) < length:
            drawn += " ".join(_SENTENCES[index] for index in shuffle(len(_SENTENCES))).split()
        found.append(Text(" ".join(drawn[:length])))
    return tuple(found)


def calibration(count: int) -> list[str]:
    """So many texts of all kinds, the first of each kind first."""
    return _mixed(_prose()[::_CALIBRATES], made.texts(count, seed=1))[:count]


def verification(least: int) -> tuple[Text, ...]:
    """Texts of all kinds with at least so many words together, or all that there are."""
    prose = [text for place, text in enumerate(_prose()) if place % _CALIBRATES]
    found, count = [], 0
    for text in _mixed(prose, made.texts(len(prose) // _PROSE_FOR_MADE, seed=0)):
        if count >= least:
            break
        found.append(Text(text))
        count += len(words.split(text))
    return tuple(found)


def _prose() -> list[str]:
    with gzip.open(_PROSE, "rt", encoding="utf-8") as file:
        return [text for _, text in map(json.loads, file)]


def _mixed(prose: Sequence[str], others: Sequence[tuple[str, str]]) -> list[str]:
    """All of the prose, with a made text after every few passages of it."""
    found, waiting = [], iter(others)
    for place, text in enumerate(prose, 1):
        found.append(text)
        if place % _PROSE_FOR_MADE == 0:
            found += [text for _, text in islice(waiting, 1)]
    return found


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

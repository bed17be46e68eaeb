"""Reads the texts, divides them by purpose (teach, choose, judge), and cuts them to pieces that fit one window."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bento.text import words
from bento.types import IntArray
from evaluate import texts as reading
from train.distill.errors import TooFewTexts

LEAST = 100
"""Texts that are needed at least."""

SHARE = 10
"""One text of so many chooses, and another judges."""


@dataclass(frozen=True)
class Piece:
    """labels: [words], 0 (a person) or 1 (a machine); None for a text without labels."""

    text: str
    labels: IntArray | None


@dataclass(frozen=True)
class Texts:
    """Different texts, by purpose."""

    teach: list[Piece]
    choose: list[Piece]
    judge: list[Piece]

    @property
    def every(self) -> list[str]:
        """All texts."""
        return [piece.text for piece in (*self.teach, *self.choose, *self.judge)]

    @property
    def digest(self) -> str:
        """A digest of all texts and labels."""
        total = hashlib.sha256()
        for piece in (*self.teach, *self.choose, *self.judge):
            total.update(piece.text.encode() + b"\0" + (b"" if piece.labels is None else piece.labels.tobytes()))
        return total.hexdigest()[:16]


def read(files: Sequence[Path]) -> Texts:
    """The texts of the files. The digest of a text gives its purpose. Raises BadLine, EvaluateError and TooFewTexts."""
    found: dict[str, Piece] = {}
    for file in files:
        for text, labels in reading.read(file):
            found.setdefault(text, Piece(text, labels))
    ordered = [found[text] for text in sorted(found, key=lambda text: hashlib.sha256(text.encode()).hexdigest())]
    if len(ordered) < LEAST:
        raise TooFewTexts(len(ordered), LEAST)
    share = len(ordered) // SHARE
    return Texts(judge=ordered[:share], choose=ordered[share : 2 * share], teach=ordered[2 * share :])


def cut(piece: Piece, fits: Callable[[str], bool]) -> Iterator[Piece]:
    """The piece itself if it fits, else its halves of equal numbers of words, and so on.

    A single word that does not fit is left out.
    """
    if fits(piece.text):
        yield piece
        return
    where = words.split(piece.text)
    if len(where) < 2:
        return
    middle = len(where) // 2
    first, second = piece.text[: where[middle - 1, 1]], piece.text[where[middle, 0] :]
    labels = (None, None) if piece.labels is None else (piece.labels[:middle], piece.labels[middle:])
    for text, some in zip((first, second), labels, strict=True):
        yield from cut(Piece(text, some), fits)

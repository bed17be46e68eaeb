"""Logits of a text's windows -> scores of its words, for complete texts and for texts that are still being scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bento.artifact import Manifest
from bento.text import windows, words
from bento.text.tokenizer import Tokenizer
from bento.types import Encoding, FloatArray, IntArray, Window


@dataclass(frozen=True)
class Prepared:
    """One text before it is scored."""

    words: IntArray
    encoding: Encoding
    windows: tuple[Window, ...]
    ids: tuple[IntArray, ...]

    def __len__(self) -> int:
        return sum(map(len, self.ids))


class Alignment:
    """By the rules of one model."""

    def __init__(self, tokenizer: Tokenizer, manifest: Manifest) -> None:
        self._tokenizer = tokenizer
        self._manifest = manifest

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """A window's logits [length, labels] -> the probability [tokens] that a machine wrote each token."""
        content: FloatArray = np.asarray(self._tokenizer.content(logits))
        return words.positive_probability(content, self._manifest.positive_indices, self._manifest.activation)

    def score(self, text: Prepared, pieces: Sequence[FloatArray]) -> FloatArray:
        """The scores [words] of a text; `pieces` are the probabilities of its windows.

        With fewer pieces than windows: the scores of the first words, those that no later window contains.
        """
        encoding, known, settled = text.encoding, len(text.words), len(text.encoding)
        if len(pieces) < len(text.windows):
            settled = text.windows[len(pieces)].start
            known = int(np.searchsorted(text.words[:, 1], encoding.offsets[settled, 0], side="right"))
            if not pieces or not known:
                return np.zeros(0, dtype=np.float32)
        stitched = windows.stitch(text.windows[: len(pieces)], pieces)
        rule = self._manifest.word_score
        marks = self._tokenizer.marks(encoding)[:settled] if rule == "first" else None
        scores = words.score(text.words[:known], encoding.offsets[:settled], stitched[:settled], rule, marks)
        # Words at the beginning without a token get the score of the first word that has one.
        return scores if scores.any() or len(pieces) == len(text.windows) else scores[:0]


@dataclass(eq=False)
class Partial:
    """The scores of one text while it is being scored: lanes write them, and the response that shows them reads them.

    changed: called from another thread when there are more scores. It is never called for a text whose scores are
    cached or that another request has begun.
    """

    changed: Callable[[], None]
    _pieces: dict[int, FloatArray] = field(default_factory=dict)
    _text: Prepared | None = None
    _alignment: Alignment | None = None

    def begin(self, text: Prepared, alignment: Alignment) -> None:
        """To be called before its windows are queued."""
        self._text, self._alignment = text, alignment
        self.changed()

    def add(self, index: int, logits: FloatArray) -> None:
        """One window has been run. Windows may finish in any order."""
        if self._alignment is not None:
            self._pieces[index] = self._alignment.probabilities(logits)
            self.changed()

    def scores(self) -> FloatArray:
        """The final scores of the first words: none at first, more at each call."""
        pieces: list[FloatArray] = []
        while len(pieces) in self._pieces:
            pieces.append(self._pieces[len(pieces)])
        if self._text is None or self._alignment is None:
            return np.zeros(0, dtype=np.float32)
        return self._alignment.score(self._text, pieces)

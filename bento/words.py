"""Text -> words, and token scores -> word scores. Pure."""

from __future__ import annotations

import re
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bento.types import FloatArray, IntArray

_WORD = re.compile(r"\S+")  # \s and str.split() ask the same question of a character: str.isspace()


def split(text: str) -> IntArray:
    """Character offsets [words, 2] of the words of `text.split()`: first character, and the one after the last."""
    return np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)


def positive_probability(logits: FloatArray, positive: int) -> FloatArray:
    """Logits [tokens, labels] -> probability [tokens] of label `positive`: softmax, or sigmoid of a single logit."""
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:  # sigmoid(z) is the softmax of (0, z)
        logits, positive = np.hstack([np.zeros_like(logits), logits]), 1
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return cast(FloatArray, (powers[:, positive] / powers.sum(axis=1)).astype(np.float32))


def score(words: IntArray, offsets: IntArray, probabilities: FloatArray) -> FloatArray:
    """One score a word [words]: the mean probability of the tokens that overlap it.

    words: [words, 2] from `split`. offsets: [tokens, 2] of the same text. probabilities: [tokens].
    Overlap, not containment: a SentencePiece token may include the space before its word. A word that no token overlaps
    (the tokenizer dropped all its characters: zero-width ones, say) takes the score of the nearest word before it that
    has one, else of the first after it; where no word has one, 0: the model saw nothing.
    """
    # The tokens that overlap a word are those that start before its end, less those that stop at or before its start
    # (which start before its end too). So two running sums, by start and by stop, give every word's sum, in whatever
    # order a normaliser left the tokens.
    seen = offsets[:, 1] > offsets[:, 0]
    starts, stops, values = offsets[seen, 0], offsets[seen, 1], probabilities[seen].astype(np.float64)
    by_start, by_stop = np.argsort(starts, kind="stable"), np.argsort(stops, kind="stable")
    begun = np.searchsorted(starts[by_start], words[:, 1], side="left")
    ended = np.searchsorted(stops[by_stop], words[:, 0], side="right")
    counts = begun - ended
    sums = _running(values[by_start])[begun] - _running(values[by_stop])[ended]
    scored = counts > 0
    if not scored.any():
        return np.zeros(len(words), dtype=np.float32)
    scores = sums / np.maximum(counts, 1)
    nearest = np.maximum.accumulate(np.where(scored, np.arange(len(words)), -1))
    nearest[nearest < 0] = np.flatnonzero(scored)[0]
    return cast(FloatArray, np.clip(scores[nearest], 0.0, 1.0).astype(np.float32))


def _running(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values)])

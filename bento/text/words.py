"""Text -> words, and token scores -> word scores. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bento.artifact import Activation
from bento.types import FloatArray, IntArray, WordScore

# Whether str.split() splits at a code point; U+3000 is the last such one, and the entry behind it is for all others.
_SPACES = np.array([chr(point).isspace() for point in range(0x3002)])


def split(text: str) -> IntArray:
    """Character offsets [words, 2] of the words of `text.split()`: first character, and the one after the last."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    inside = ~_SPACES[np.minimum(points, len(_SPACES) - 1)]
    return np.flatnonzero(np.diff(inside, prepend=False, append=False)).reshape(-1, 2)


def positive_probability(
    logits: FloatArray, positives: Sequence[int], activation: Activation = "softmax"
) -> FloatArray:
    """Logits [tokens, labels] -> probability [tokens] that one of the labels `positives` is the true one.

    softmax: the sum of theirs; of a single logit its sigmoid. sigmoid: that of the only positive one.
    """
    logits = logits.astype(np.float64)
    if activation == "sigmoid":
        logits = logits[:, list(positives)]
    if logits.shape[1] == 1:  # sigmoid(z) is the softmax of (0, z)
        logits, positives = np.hstack([np.zeros_like(logits), logits]), (1,)
    with np.errstate(invalid="ignore"):  # NaN stays NaN: the caller checks for it
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return cast(FloatArray, (powers[:, list(positives)].sum(axis=1) / powers.sum(axis=1)).astype(np.float32))


def score(
    words: IntArray,
    offsets: IntArray,
    probabilities: FloatArray,
    rule: WordScore = "mean",
    marks: NDArray[np.bool_] | None = None,
) -> FloatArray:
    """One score a word [words], of the tokens that overlap it: their mean probability, the first one's, or the highest.

    words: [words, 2] from `split`. offsets: [tokens, 2] of the same text. probabilities: [tokens].
    marks: [tokens], which are the mark of a space ("▁") alone, in front of a token that has none. Such a mark is the
    first token of the word behind it: training that splits texts into words before it tokenises has seen it so.
    Overlap, not containment: a SentencePiece token may include the space before its word. A word that no token overlaps
    (the tokenizer dropped all its characters: zero-width ones, say) takes the score of the nearest word before it that
    has one, else of the first after it; where no word has one, 0: the model saw nothing.
    """
    word, token = _overlaps(words, offsets)
    if len(word) == 0:
        return np.zeros(len(words), dtype=np.float32)
    values = probabilities.astype(np.float64)
    counts = np.bincount(word, minlength=len(words))
    if rule == "mean":
        scores = np.bincount(word, values[token], minlength=len(words)) / np.maximum(counts, 1)
    elif rule == "max":
        scores = np.zeros(len(words))
        np.maximum.at(scores, word, values[token])
    else:
        scores = values[_first(words, offsets, word, token, marks)]
    nearest = np.maximum.accumulate(np.where(counts > 0, np.arange(len(words)), -1))
    nearest[nearest < 0] = word.min()
    return cast(FloatArray, np.clip(scores[nearest], 0.0, 1.0).astype(np.float32))


def _overlaps(words: IntArray, offsets: IntArray) -> tuple[IntArray, IntArray]:
    """Every pair of a word and a token that overlap, as two arrays of indices, in the order of the tokens."""
    starts, stops = offsets[:, 0], offsets[:, 1]
    # Words are in order and apart, so those that a token overlaps are neighbours.
    first = np.searchsorted(words[:, 1], starts, side="right")
    counts = np.searchsorted(words[:, 0], stops, side="left") - first
    counts = np.where(stops > starts, np.maximum(counts, 0), 0)
    token = np.repeat(np.arange(len(offsets)), counts)
    place = np.arange(len(token)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(first, counts) + place, token


def _first(
    words: IntArray, offsets: IntArray, word: IntArray, token: IntArray, marks: NDArray[np.bool_] | None
) -> IntArray:
    """Each word's first token [words], or the lone mark before it; any token where it has none."""
    first = np.full(len(words), len(offsets) - 1)
    np.minimum.at(first, word, token)
    if marks is not None:
        between = marks.copy()
        between[token] = False  # a letter that looks like the mark is a token of its own word
        leads = (first > 0) & between[first - 1] & (offsets[first, 0] >= words[:, 0])
        first = np.where(leads, first - 1, first)
    return first


def rounded(probabilities: FloatArray) -> list[float]:
    """To 4 places, as clients see them; as float64: the shortest decimal of a rounded float32 has more."""
    return list(np.round(probabilities.astype(np.float64), 4).tolist())

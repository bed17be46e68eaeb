"""A long encoding -> overlapping windows, and window scores -> one score a token. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from bento.types import FloatArray, Window


def split(length: int, limit: int, overlap: int) -> tuple[Window, ...]:
    """Cover `length` tokens by windows of at most `limit` tokens, neighbours sharing at least `overlap`.

    The number of windows is the smallest possible, and all have the same length, so that no window is a short rest in
    which every token is near an edge. An empty text has one empty window: the model still sees its special tokens.
    Raises ValueError unless 0 <= overlap < limit.
    """
    if not 0 <= overlap < limit:
        raise ValueError(f"overlap must be at least 0 and below the limit of {limit} tokens, not {overlap}")
    if length <= limit:
        return (Window(0, length),)
    count = -(-(length - overlap) // (limit - overlap))
    size = -(-(length + (count - 1) * overlap) // count)
    return tuple(Window(start, start + size) for start in ((length - size) * i // (count - 1) for i in range(count)))


def stitch(windows: Sequence[Window], scores: Sequence[FloatArray]) -> FloatArray:
    """Scores [len(window)] of each window -> one score [length] a token.

    Where windows overlap, their scores are averaged with weights that fall linearly to each window's own edge, so a
    window with few of a token's neighbours has little weight, and scores do not jump where a window begins.
    """
    if len(windows) == 1:
        return scores[0]
    length = windows[-1].stop
    total, weight = np.zeros(length), np.zeros(length)
    for window, values in zip(windows, scores, strict=True):
        steps = np.arange(1, len(window) + 1, dtype=np.float64)
        left = steps if window.start > 0 else np.full_like(steps, np.inf)
        right = steps[::-1] if window.stop < length else np.full_like(steps, np.inf)
        share = np.minimum(np.minimum(left, right), len(window))
        total[window.start : window.stop] += share * values
        weight[window.start : window.stop] += share
    return cast(FloatArray, (total / weight).astype(np.float32))

"""Word scores -> passages. Pure; bento/api/page/spans.js is the same rule for the page's slider.

A word is *strong* when its score is at least the threshold, *weak* when it is at least half of it. A passage begins and
ends with a strong word. Two strong words belong to one passage when at most GAP words of any score stand between them,
or at most REACH words that are all weak or better: so a passage is entered at the threshold and left below half of it
(hysteresis, as in the double threshold of Canny 1986), and a single word does not break it. A passage of fewer than
LEAST words is dropped, so a single word does not make one either.

Example, at the threshold 0.5, where the numbers are ten times the scores:

    score    1  7  9  1  8  3  3  3  6  2  1  2  9  9  0
    strong      *  *     *           *           *  *
    passage     [---------------------]

The third and the fifth word are one word apart (GAP). Three words stand between the fifth and the ninth, all of at
least 2.5 (REACH). Between the ninth and the thirteenth there are three as well, and one of them is below 2.5: the
passage ends. The thirteenth and the fourteenth are only two words, fewer than LEAST: no passage.

Which passages there are depends only on the side of the two levels on which each score is. A higher threshold never
makes or lengthens a passage: each of its passages lies in one of every lower threshold's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bento.types import FloatArray

# Words: those between two strong ones that do not part them; the same where all are weak; of the shortest passage.
GAP = 2
REACH = 12
LEAST = 5

Scores = FloatArray | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Passage:
    """The words `first <= i <= last` of a text. probability: the mean of their scores."""

    first: int
    last: int
    probability: float

    def __len__(self) -> int:
        return self.last - self.first + 1


def find(scores: Scores, threshold: float) -> list[Passage]:
    """The passages of a text, in order, without overlap. scores: [words], in [0, 1].

    Raises ValueError unless 0 < threshold <= 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a threshold is above 0 and at most 1, not {threshold}")
    strong = np.flatnonzero(scores >= threshold)
    if len(strong) == 0:
        return []
    between = np.diff(strong) - 1
    below = np.concatenate([[0], np.cumsum(scores < threshold / 2)])  # of the words before each
    all_weak = below[strong[1:]] == below[strong[:-1]]
    joined = (between <= GAP) | ((between <= REACH) & all_weak)
    parts = np.split(strong, np.flatnonzero(~joined) + 1)
    edges = [(int(part[0]), int(part[-1])) for part in parts if part[-1] - part[0] + 1 >= LEAST]
    return [Passage(first, last, float(np.mean(scores[first : last + 1]))) for first, last in edges]


def highest_threshold(scores: Scores) -> float:
    """The highest threshold at which a text has a passage; 0 where it has none at any.

    A calibration ranks texts by it: a text is marked at every threshold up to this one. Passages change only where a
    word changes its side, at its score and at twice its score. Exact for scores of one precision.
    """
    levels = np.unique(np.concatenate([scores, scores * 2]))
    levels = levels[(levels > 0) & (levels <= 1)]
    low, high = 0, len(levels)  # at levels[:low] there is a passage, at levels[high:] there is none
    while low < high:
        middle = (low + high) // 2
        if find(scores, float(levels[middle])):
            low = middle + 1
        else:
            high = middle
    return float(levels[low - 1]) if low else 0.0

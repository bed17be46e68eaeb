"""Word scores and labels -> figures, with their intervals. The metrics are scikit-learn's.

Every figure is a function of the weight of each text: 1 for the figure itself, and the number of times it was drawn in
a bootstrap sample. Texts are drawn, not words, because the words of a text are not independent.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, brier_score_loss, roc_curve

from bento.text import spans
from evaluate.scoring import Scored
from evaluate.texts import Text

Floats = NDArray[np.float64]
Measured = Callable[["Floats | None"], dict[str, float]]
"""Figures by name, of how often each text counts; None: once."""

ROUNDS, SEED, BINS = 200, 31, 15
LENGTHS = (1, 50, 100, 200, 400, 1_000_000)
"""Words: the first of each group of length, in the figures on wholly human texts."""

_IOU = 0.5


@dataclass(frozen=True)
class Interval:
    """A figure, and its 95 % interval over texts; nan if it is undefined for these texts."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """A model's scores on labelled texts. truth, values, text: [words]; the others: [texts].

    errors: words between the true boundary and the one found, nan where a text has none. found, drawn, matched: true
    passages, those that the model marks, and pairs of the two whose words overlap by an IoU of one half or more.
    """

    texts: Sequence[Text]
    scored: Scored
    truth: NDArray[np.int64] = field(init=False)
    values: Floats = field(init=False)
    text: NDArray[np.int64] = field(init=False)
    lengths: NDArray[np.int64] = field(init=False)
    human: NDArray[np.bool_] = field(init=False)
    errors: Floats = field(init=False)
    passages: Floats = field(init=False)

    def __post_init__(self) -> None:
        lengths = np.array([len(one.labels) for one in self.texts])
        rows = [_passages(*row) for row in zip(self.texts, self.scored.scores, self.thresholds, strict=True)]
        for name, value in {
            "truth": np.concatenate([one.labels for one in self.texts]),
            "values": np.concatenate(self.scored.scores),
            "text": np.repeat(np.arange(len(lengths)), lengths),
            "lengths": lengths,
            "human": np.array([one.human for one in self.texts]),
            "errors": np.array([_boundary_error(*row) for row in zip(self.texts, self.scored.scores, strict=True)]),
            "passages": np.array(rows, dtype=float),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def thresholds(self) -> list[float | None]:
        """The model's threshold for each text; None where it abstains."""
        return [None if one.abstains else one.value for one in self.scored.thresholds]


def find_boundary(scores: Floats) -> int:
    """How many words a person wrote, if a machine wrote all after them: the likeliest, words being independent."""
    chance = np.clip(scores, 1e-4, 1 - 1e-4)
    human, machine = np.log(1 - chance), np.log(chance)
    return int(np.argmax(np.append(0, np.cumsum(human)) + np.append(np.cumsum(machine[::-1])[::-1], 0)))


def ece(truth: NDArray[np.int64], values: Floats, weights: Floats | None = None) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017, On Calibration of Neural Networks)."""
    return float(sum(abs(score - share) * count for score, share, count in reliability(truth, values, weights)))


def reliability(
    truth: NDArray[np.int64], values: Floats, weights: Floats | None = None
) -> list[tuple[float, float, float]]:
    """(mean score, share of machine words, share of all words) of each bin that is not empty."""
    weights = np.ones(len(values)) if weights is None else weights
    bins = np.minimum((values * BINS).astype(int), BINS - 1)
    count, score, share = (np.bincount(bins, weights * one, BINS) for one in (np.ones(len(values)), values, truth))
    some = count > 0
    return list(zip(score[some] / count[some], share[some] / count[some], count[some] / count.sum(), strict=True))


def tpr_at(curve: tuple[Floats, Floats], rate: float) -> float:
    """The highest true-positive rate at a false-positive rate of at most `rate`."""
    fpr, tpr = curve
    return float(tpr[fpr <= rate].max(initial=0.0))


def measure(judged: Judged, counts: Floats | None = None) -> dict[str, float]:
    """Every figure by its name; counts: how often each text counts."""
    counts = np.ones(len(judged.texts)) if counts is None else counts
    weights = counts[judged.text]
    truth, values, weights = judged.truth[weights > 0], judged.values[weights > 0], weights[weights > 0]
    figures: dict[str, float] = {}
    if 0 < truth.sum() < len(truth):
        fpr, tpr, _ = roc_curve(truth, values, sample_weight=weights)
        figures["word ROC-AUC"] = float(auc(fpr, tpr))
        figures["word average precision"] = float(average_precision_score(truth, values, sample_weight=weights))
        figures["TPR at 1 % FPR"] = tpr_at((fpr, tpr), 0.01)
        figures["TPR at 0.1 % FPR"] = tpr_at((fpr, tpr), 0.001)
    figures["ECE"] = ece(truth, values, weights)
    figures["Brier score"] = float(brier_score_loss(truth, values, sample_weight=weights, pos_label=1))
    known = ~np.isnan(judged.errors)
    figures["boundary MAE, words"] = _mean(judged.errors[known], counts[known])
    found, drawn, matched = (judged.passages * counts[:, None]).sum(axis=0)
    figures["span IoU-F1"] = 2 * matched / (found + drawn) if found + drawn else float("nan")
    for first, stop in pairwise(LENGTHS):
        group = judged.human & (judged.lengths >= first) & (judged.lengths < stop)
        if group.any():
            name = f"{first} to {stop - 1}" if stop != LENGTHS[-1] else f"{first} or more"
            figures[f"human texts of {name} words marked"] = _mean(judged.passages[group, 1] > 0, counts[group])
    return figures


def draws(texts: int, rounds: int = ROUNDS, seed: int = SEED) -> list[Floats]:
    """How often each text is drawn in each round of the bootstrap."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    picks = (rng.choices(range(texts), k=texts) for _ in range(rounds))
    return [np.bincount(pick, minlength=texts).astype(float) for pick in picks]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The middle 95 % of a bootstrap's values, without nan."""
    known = sorted(value for value in values if not np.isnan(value))
    if not known:
        return float("nan"), float("nan")
    return known[int(0.025 * len(known))], known[int(0.975 * len(known))]


def with_intervals(measured: Measured, texts: int) -> dict[str, Interval]:
    """Every figure of `measured`, a function of how often each text counts, with its interval."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rounds = [measured(counts) for counts in draws(texts)]
    return {
        name: Interval(value, *interval([one.get(name, float("nan")) for one in rounds]))
        for name, value in measured(None).items()
    }


def difference(first: Judged, second: Judged) -> dict[str, Interval]:
    """The second model's figures minus the first's, on the same texts in each bootstrap sample."""

    def measured(counts: Floats | None) -> dict[str, float]:
        one, other = measure(first, counts), measure(second, counts)
        return {name: other[name] - one[name] for name in one if name in other}

    return with_intervals(measured, len(first.texts))


def _mean(values: NDArray[np.float64] | NDArray[np.bool_], counts: Floats) -> float:
    return float((values * counts).sum() / counts.sum()) if counts.sum() else float("nan")


def _boundary_error(text: Text, scores: Floats) -> float:
    if text.boundary is None:
        return float("nan")
    return float(abs(int(text.places[find_boundary(scores)]) - text.boundary))


def _passages(text: Text, scores: Floats, threshold: float | None) -> tuple[int, int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], text.labels, [0]])))
    true = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    marked = [] if threshold is None else [(one.first, one.last + 1) for one in spans.find(scores, threshold)]
    # An IoU above one half allows one partner only, and at one half the passages of a side are apart: the first counts.
    left, matched = list(true), 0
    for start, stop in marked:
        for a, b in left:
            if (min(stop, b) - max(start, a)) >= _IOU * (max(stop, b) - min(start, a)):
                left.remove((a, b))
                matched += 1
                break
    return len(true), len(marked), matched

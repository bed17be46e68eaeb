"""The figures of a verification, their limits, and the statistics behind them. Pure."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# A flip is clear when the word was, before or after, at least so far from the threshold.
MARGIN = 0.05
# Distances of a word from the threshold, as flips are told by them.
DISTANCES = (0.0, 0.01, 0.05, 0.1, 0.2, 1.0)
_DRAWS = 2000


@dataclass(frozen=True)
class Figures:
    """The differences between a folder and its checkpoint, over all words of the texts, and the folder's costs.

    max_dp, mean_dp, p999_dp: |dp|, the difference of a word's probability from PyTorch's; its 99.9th percentile.
    flips: share of words that change sides of the threshold. clear_flips: those that were at least MARGIN from it,
    before or after. Example: 0.499 to 0.501 is not clear.
    mean_dp_bound, clear_flips_bound: what these are at most on such texts, with 95 % confidence, by `upper_bound`.
    rank: Spearman's rank correlation.
    neighbours, memory_mb, size_mb: see convert/measure.py's Measurement.
    words_per_s: speed with every core at work.
    fp32_share: share of the MatMul weights that were left in FP32.
    auroc, torch_auroc: how well the probabilities order the labelled words, here and in PyTorch; 1 is perfect.
    """

    words: int
    max_dp: float
    mean_dp: float
    p999_dp: float
    flips: float
    clear_flips: float
    mean_dp_bound: float
    clear_flips_bound: float
    rank: float
    neighbours: float
    words_per_s: float
    memory_mb: float
    size_mb: float
    fp32_share: float
    auroc: float | None = None
    torch_auroc: float | None = None

    def known(self) -> dict[str, float]:
        """By name, without what was not measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Limits:
    """The limit of the figure of the same name; None: it is only reported."""

    max_dp: float | None = None
    mean_dp_bound: float | None = None
    clear_flips_bound: float | None = None
    neighbours: float | None = None

    def known(self) -> dict[str, float]:
        """By name, without those that are None."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

    def exceeded(self, figures: Figures) -> str | None:
        """Which figures are over their limit, and by how much; None when all hold."""
        measured, limits = figures.known(), self.known()
        # `not <=`, so that NaN is over every limit.
        over = [name for name, limit in limits.items() if not measured[name] <= limit]
        return ", ".join(f"{name} is {measured[name]:.2g}, the limit is {limits[name]:g}" for name in over) or None


@dataclass(frozen=True)
class Variant:
    """A precision that was made and measured.

    figures: of the portable graph. fused: of the fused one, where there is one and its operators are built.
    exact: the weights left in FP32, with the mean |dp| that each saves. instruction_sets: the mean |dp| of the fused
    graph with each lower instruction set that this machine has, over the texts of the ladder. smoothed: the weights
    that outlier channels of their inputs were moved into.
    """

    figures: Figures
    limits: Limits
    exact: dict[str, float]
    fused: Figures | None = None
    instruction_sets: dict[str, float] = field(default_factory=dict)
    smoothed: tuple[str, ...] = ()

    @property
    def served(self) -> Figures:
        """Of the graph that serves on a machine like this one."""
        return self.fused or self.figures

    @property
    def fault(self) -> str | None:
        """What is over its limit, in either graph; None when all hold."""
        fault = self.limits.exceeded(self.figures)
        if fault is None and self.fused is not None and (fault := self.limits.exceeded(self.fused)):
            return f"in the fused graph {fault}"
        limit = self.limits.mean_dp_bound
        for name, mean in self.instruction_sets.items():
            if fault is None and limit is not None and not mean <= limit:
                return f"in the fused graph with {name} mean_dp is {mean:.2g}, the limit is {limit:g}"
        return fault


def upper_bound(totals: Array, words: Array) -> float:
    """The 95th percentile of sum(totals) / sum(words) when the texts are drawn again, with replacement.

    totals, words: [texts]. The percentile bootstrap over texts (Efron 1979), 2,000 draws, the same every time: words
    of one text are alike, so texts are what is drawn.
    """
    draw = np.random.default_rng(0).integers(len(words), size=(_DRAWS, len(words)))
    return float(np.quantile(totals[draw].sum(axis=1) / words[draw].sum(axis=1), 0.95))


def by_distance(expected: Array, found: Array, threshold: float) -> list[tuple[float, float, int, int]]:
    """(from, to, words, flips) for each step of DISTANCES of the expected probability from the threshold."""
    distance, flipped = np.abs(expected - threshold), (expected >= threshold) != (found >= threshold)
    rows = []
    for low, high in itertools.pairwise(DISTANCES):
        inside = (distance >= low) & (distance < high)
        rows.append((low, high, int(inside.sum()), int(flipped[inside].sum())))
    return rows


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's: Pearson's correlation of the ranks; 1 where neither varies."""
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread else 1.0


def auroc(probabilities: Array, truth: NDArray[np.bool_]) -> float | None:
    """The chance that a machine's word scores above a person's (Mann and Whitney's U); None unless both are there."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return None
    rank_sum = float(_ranks(probabilities)[truth].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def _ranks(values: Array) -> Array:
    """1 ... n; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return cast(Array, (last - (counts - 1) / 2)[inverse])

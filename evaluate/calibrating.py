"""`wordtell calibrate`: human texts -> thresholds with a bounded false-positive rate, in calibration.json."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from bento import artifact
from bento.calibration import FILE, Calibration, Group, conformal_threshold, least_texts
from bento.text import spans
from evaluate.errors import EmptyClass, EvaluateError, TooFewTexts
from evaluate.scoring import score
from evaluate.texts import read_human, read_labelled

EDGES = (1, 50, 100, 200, 400, 800, 1600)
"""Words: the first of each group of length. The last group ends with the longest text."""


def calibrate(model: Path, human: Path, labelled: Path | None, rate: float, population: str) -> Calibration:
    """Write the calibration beside the manifest of a model folder, and return it. Raises WordtellError."""
    if not 0 < rate < 1:
        raise EvaluateError(f"--rate is {rate:g}: it has to be between 0 and 1, 0.01 for 1 %")
    manifest = artifact.load_uncalibrated(model).manifest
    texts = read_human(human)
    lengths = [len(text.split()) for text in texts]
    needed = least_texts(rate)
    if max(_counts(lengths)) < needed:
        raise TooFewTexts(human.name, rate, needed, _told(lengths))
    try:
        (model / FILE).unlink(missing_ok=True)  # a calibration of another model would be refused
        ranks = [spans.highest_threshold(one) for one in score(str(model), texts).scores]
        found = Calibration(
            model=manifest.digest,
            population=population,
            texts=len(texts),
            false_positive_rate=rate,
            made=date.today().isoformat(),
            groups=grouped(lengths, ranks, rate),
            temperature=None if labelled is None else round(_temperature_of(model, labelled), 4),
        )
        (model / FILE).write_text(found.to_json(), encoding="utf-8")
    except OSError as error:
        raise EvaluateError(f"{model / FILE}: {error.strerror}: the folder has to be writable") from None
    return found


def grouped(lengths: Sequence[int], ranks: Sequence[float], rate: float) -> tuple[Group, ...]:
    """The threshold of each group of length; None for one with too few texts."""
    edges = [*EDGES, max(*EDGES, *lengths) + 1]
    groups = []
    for first, stop in pairwise(edges):
        inside = [rank for words, rank in zip(lengths, ranks, strict=True) if first <= words < stop]
        groups.append(Group(first, stop - 1, len(inside), conformal_threshold(inside, rate)))
    return tuple(groups)


def temperature(truth: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """The T that makes the cross-entropy of sigmoid(logit(score) / T) least (Guo et al. 2017)."""
    chance = np.clip(values, 1e-4, 1 - 1e-4)
    signed = np.log(chance / (1 - chance)) * (2 * truth - 1)
    best = minimize_scalar(
        lambda log: float(np.logaddexp(0, -signed / np.exp(log)).mean()), bounds=(-5, 5), method="bounded"
    )
    return float(np.exp(best.x))


def _temperature_of(model: Path, labelled: Path) -> float:
    texts = read_labelled(labelled)
    truth = np.concatenate([text.labels for text in texts])
    if truth.all() or not truth.any():
        raise EmptyClass(labelled.name, "a person" if truth.all() else "a machine", len(texts))
    return temperature(truth, np.concatenate(score(str(model), [text.text for text in texts]).scores))


def _counts(lengths: Sequence[int]) -> list[int]:
    return [int(count) for count in np.histogram(lengths, [*EDGES, max(*EDGES, *lengths) + 1])[0]]


def _told(lengths: Sequence[int]) -> str:
    names = [f"{first} to {stop - 1}" for first, stop in pairwise(EDGES)] + [f"{EDGES[-1]} or more"]
    return ", ".join(f"{count} of {name}" for count, name in zip(_counts(lengths), names, strict=True) if count)

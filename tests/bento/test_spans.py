"""Passages: the docstring's example, and what holds for any scores."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bento.text import spans

THRESHOLDS = st.floats(0.01, 1, exclude_min=True)
SCORES = st.lists(st.floats(0, 1, width=32), max_size=60).map(np.array)


def edges(scores: NDArray[np.float64], threshold: float) -> list[tuple[int, int]]:
    return [(passage.first, passage.last) for passage in spans.find(scores, threshold)]


def one_by_one(scores: list[float], threshold: float) -> list[tuple[int, int]]:
    """The rule as a person would carry it out, word after word."""
    found: list[tuple[int, int]] = []
    for index, score in enumerate(scores):
        if score < threshold:
            continue
        if found:
            first, last = found[-1]
            between = scores[last + 1 : index]
            weak = all(one >= threshold / 2 for one in between)
            if len(between) <= spans.GAP or (len(between) <= spans.REACH and weak):
                found[-1] = first, index
                continue
        found.append((index, index))
    return [(first, last) for first, last in found if last - first + 1 >= spans.LEAST]


def test_the_example_of_the_docstring() -> None:
    scores = np.array([1, 7, 9, 1, 8, 3, 3, 3, 6, 2, 1, 2, 9, 9, 0]) / 10
    (passage,) = spans.find(scores, 0.5)
    assert (passage.first, passage.last, len(passage)) == (1, 8, 8)
    assert passage.probability == pytest.approx(0.5)


@pytest.mark.parametrize("threshold", [0, -1, 1.1, float("nan")])
def test_a_threshold_that_is_none(threshold: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        spans.find(np.ones(9), threshold)


@given(SCORES, THRESHOLDS)
def test_passages_are_ordered_apart_and_long_enough(scores: NDArray[np.float64], threshold: float) -> None:
    found = spans.find(scores, threshold)
    for passage in found:
        assert len(passage) >= spans.LEAST
        assert scores[passage.first] >= threshold
        assert scores[passage.last] >= threshold
        assert passage.probability == pytest.approx(scores[passage.first : passage.last + 1].mean())
    for before, after in pairwise(found):
        assert before.last < after.first


@given(SCORES, THRESHOLDS)
def test_they_are_those_of_the_rule(scores: NDArray[np.float64], threshold: float) -> None:
    assert edges(scores, threshold) == one_by_one(scores.tolist(), threshold)


@given(SCORES, THRESHOLDS, st.randoms(use_true_random=False))
def test_a_score_that_stays_on_its_side_changes_nothing(
    scores: NDArray[np.float64], threshold: float, chance: Random
) -> None:
    levels = [0.0, threshold / 2, threshold, 1.0]
    moved = scores.copy()
    for index, score in enumerate(scores):
        side = int(score >= threshold / 2) + int(score >= threshold)
        moved[index] = levels[side] + (levels[side + 1] - levels[side]) * chance.random() * 0.99
    assert edges(moved, threshold) == edges(scores, threshold)


@given(SCORES, THRESHOLDS, THRESHOLDS)
def test_a_higher_threshold_never_makes_a_passage(scores: NDArray[np.float64], one: float, other: float) -> None:
    low, high = sorted((one, other))
    wider = edges(scores, low)
    for first, last in edges(scores, high):
        assert any(start <= first and last <= stop for start, stop in wider)


@given(SCORES)
def test_the_highest_threshold_is_the_highest(scores: NDArray[np.float64]) -> None:
    highest = spans.highest_threshold(scores)
    if highest:
        assert spans.find(scores, highest)
    if highest < 1 and (above := np.nextafter(highest, 2)) > 0:
        assert not spans.find(scores, float(above))

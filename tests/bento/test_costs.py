"""The size of a micro-batch follows what was measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bento.scheduling.costs import Costs, Density


def settle(costs: Costs, longest: int, speed: Callable[[int], float], rounds: int = 60) -> int:
    """Let it choose and learn from a machine that runs `speed(count)` tokens a second; its last choice."""
    count = 0
    for _ in range(rounds):
        count = costs.count_for(longest, most=32)
        costs.observe(longest, count, longest * count, longest * count / speed(count))
    return count


@pytest.mark.parametrize(
    ("speed", "count"),
    [
        (lambda count: 1000.0, 1),
        (lambda count: 1000.0 / count, 1),
        (lambda count: 1000.0 * min(count, 8), 8),
        (lambda count: 1000.0 * count, 32),
        (lambda count: 1000.0 * (1.02 if count > 1 else 1), 1),
    ],
    ids=["flat", "falling", "up to eight", "rising", "hardly rising"],
)
def test_the_least_count_that_is_about_as_fast_as_any(speed: Callable[[int], float], count: int) -> None:
    assert settle(Costs(), 20, speed) == count


def test_lengths_are_learned_apart() -> None:
    costs = Costs()
    assert settle(costs, 16, lambda count: 1000.0 * count) == 32
    assert settle(costs, 400, lambda count: 1000.0) == 1
    assert costs.count_for(16, most=32) == 32


def test_never_more_than_the_most() -> None:
    costs = Costs()
    settle(costs, 16, lambda count: 1000.0 * count)
    assert [costs.count_for(16, most) for most in (1, 2, 5)] == [1, 2, 4]


def test_what_was_not_worthwhile_is_tried_again() -> None:
    costs = Costs()
    assert settle(costs, 20, lambda count: 1000.0) == 1
    assert settle(costs, 20, lambda count: 1000.0 * count, rounds=5000) == 32


def test_speed_is_that_of_late() -> None:
    costs = Costs()
    assert costs.tokens_per_second is None
    for seconds in [1.0] * 200 + [0.1] * 200:
        costs.observe(100, 1, 100, seconds)
    assert costs.tokens_per_second == pytest.approx(1000, rel=0.01)


def test_a_few_odd_texts_do_not_spoil_the_density() -> None:
    density = Density()
    for _ in range(200):
        density.add(500, 2000)
    before = density.tokens(100_000)
    for _ in range(5):
        density.add(6, 6)  # a short text of rare characters: a token each
    assert density.tokens(100_000) == pytest.approx(before, rel=0.01)


def test_the_density_follows_other_texts() -> None:
    density = Density()
    assert density.tokens(4000) == 1000  # of English
    for _ in range(2000):
        density.add(2000, 2000)
    assert density.tokens(4000) == pytest.approx(4000, rel=0.1)

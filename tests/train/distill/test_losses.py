"""What the student is to come near to: nothing at the teacher itself, and only what was said counts."""

from __future__ import annotations

import math

import pytest
import torch

from train.distill import losses, rows


def test_the_teachers_own_odds_cost_nothing_and_others_what_the_formula_says() -> None:
    teacher = torch.tensor([0.0, 2.0, float("nan"), -4.0])
    assert losses.soft(teacher.nan_to_num(9.0), teacher).item() == pytest.approx(0, abs=1e-6)
    half = losses.soft(torch.tensor([0.0]), torch.tensor([2.0 * math.log(3)])).item()  # 0.75 against 0.5, at T = 2
    assert half == pytest.approx(4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)), abs=1e-6)
    assert losses.soft(torch.tensor([1.0]), torch.tensor([float("nan")])).item() == 0


def test_gold_is_the_cross_entropy_of_what_has_labels() -> None:
    odds = torch.tensor([0.0, 5.0, math.log(3)])
    assert losses.gold(odds, torch.tensor([-1, -1, 1])).item() == pytest.approx(-math.log(0.75))
    assert losses.gold(odds, torch.tensor([-1, -1, -1])).item() == 0


def test_words_are_the_means_of_their_tokens() -> None:
    hidden = torch.tensor([[[9.0], [1.0], [3.0], [5.0]], [[9.0], [7.0], [9.0], [9.0]]])
    owners = torch.tensor([[-1, 0, 0, 1], [-1, 0, -1, -1]])
    assert losses.pool(hidden, owners).squeeze(-1).tolist() == [[2.0, 5.0], [7.0, 0.0]]


def test_relations_ask_for_likenesses_whatever_the_width_and_the_padding() -> None:
    torch.manual_seed(1)
    states, words = torch.randn(2, 5, 24), torch.tensor([5, 3])
    assert losses.relations(states, states, words).item() == pytest.approx(0, abs=1e-6)
    other = torch.randn(2, 5, 36)
    changed = other.clone()
    changed[1, 3:] = 100.0  # no words of the second row
    assert losses.relations(states, other, words).item() > 0.01
    assert losses.relations(states, changed, words).item() == losses.relations(states, other, words).item()


def test_each_round_has_every_row_once() -> None:
    steps = [rows.drawn(10, 5, step, 1) for step in range(4)]
    assert sorted(steps[0] + steps[1]) == sorted(steps[2] + steps[3]) == list(range(10))
    assert steps[0] != steps[2]
    assert rows.drawn(3, 5, 7, 1) != []

from __future__ import annotations

import re

import pytest

from convert import labels
from convert.errors import LabelError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("human", "machine"), "machine"),
        (("AI", "human"), "AI"),
        (("AI-generated", "Human written"), "AI-generated"),
        (("real", "fake"), "fake"),
        (("LABEL_0", "LABEL_1"), "LABEL_1"),
        (("LABEL_0",), "LABEL_0"),
        (("other", "human", "machine_generated"), "machine_generated"),
    ],
)
def test_a_telling_name_is_found(names: tuple[str, ...], expected: str) -> None:
    assert labels.positive(names) == expected


@pytest.mark.parametrize(
    "names",
    [
        ("A", "B"),
        ("LABEL_1", "LABEL_0"),
        ("LABEL_0", "LABEL_1", "LABEL_2"),
        ("fake", "ai"),
        ("not generated", "human"),
    ],
)
def test_a_name_that_tells_nothing_or_two_that_do_are_not_guessed(names: tuple[str, ...]) -> None:
    with pytest.raises(LabelError, match=re.escape(f"--positive-label one of: {', '.join(names)}")):
        labels.positive(names)


def test_what_is_asked_for_wins_when_it_is_there() -> None:
    assert labels.positive(("human", "machine"), "human") == "human"
    with pytest.raises(LabelError, match=r"no label 'robot'; .* human, machine"):
        labels.positive(("human", "machine"), "robot")


def test_the_order_is_that_of_the_logits() -> None:
    assert labels.ordered({1: "machine", 0: "human"}) == ("human", "machine")


@pytest.mark.parametrize("broken", [{0: "a", 2: "b"}, {1: "a", 2: "b"}, {0: "a", 1: "a"}, {}])
def test_a_label_map_with_holes_or_twins_is_refused(broken: dict[int, str]) -> None:
    with pytest.raises(ValueError, match="does not name every logit once"):
        labels.ordered(broken)

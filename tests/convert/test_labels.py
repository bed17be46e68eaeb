from __future__ import annotations

import re

import pytest

from bento.checkpoint import labels
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
        (("O", "B-AI", "I-AI"), "B-AI I-AI"),
        (("I-machine_generated", "O", "B-machine_generated"), "I-machine_generated B-machine_generated"),
        (("O", "B-AI", "I-AI", "E-AI", "S-AI"), "B-AI I-AI E-AI S-AI"),
        (("O", "B-AI", "I-AI", "L-AI", "U-AI"), "B-AI I-AI L-AI U-AI"),
        (("B_HUMAN", "I_HUMAN", "B_LLM", "I_LLM"), "B_LLM I_LLM"),
        (("O", "I-AI"), "I-AI"),
    ],
)
def test_telling_names_are_found(names: tuple[str, ...], expected: str) -> None:
    assert labels.positive(names) == tuple(expected.split())


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("A", "B"), "no label says"),
        (("LABEL_1", "LABEL_0"), "no label says"),
        (("LABEL_0", "LABEL_1", "LABEL_2"), "no label says"),
        (("O", "B-PER", "I-PER"), "no label says"),
        (("not generated", "human"), "no label says"),
        (("fake", "ai"), "several labels .* (fake, ai)"),
        (("O", "AI", "I-AI"), "several labels .* (AI, I-AI)"),
        (("O", "B-AI", "I-AI", "B-LLM", "I-LLM"), "several labels .* (B-AI, I-AI, B-LLM, I-LLM)"),
    ],
)
def test_names_that_tell_nothing_or_too_much_are_not_guessed(names: tuple[str, ...], fault: str) -> None:
    with pytest.raises(LabelError) as raised:
        labels.positive(names)
    assert re.match(fault.replace("(", r"\(").replace(")", r"\)"), str(raised.value))
    assert f"one of: {', '.join(names)}" in str(raised.value)


def test_what_is_asked_for_wins_when_it_is_there() -> None:
    names = ("O", "B-GPT", "I-GPT", "B-AI", "I-AI")
    assert labels.positive(("human", "machine"), ["human"]) == ("human",)
    assert labels.positive(names, ["I-GPT", "B-GPT", "B-GPT"]) == ("B-GPT", "I-GPT")
    assert labels.positive(names, ["GPT"]) == ("B-GPT", "I-GPT")
    assert labels.positive(names, ["GPT", "I-AI"]) == ("B-GPT", "I-GPT", "I-AI")
    with pytest.raises(LabelError, match=r"no label 'robot', 'android'; .* human, machine"):
        labels.positive(("human", "machine"), ["robot", "machine", "android"])
    with pytest.raises(LabelError, match="every label positive"):
        labels.positive(("human", "machine"), ["machine", "human"])


def test_the_order_is_that_of_the_logits() -> None:
    assert labels.ordered({1: "machine", 0: "human"}) == ("human", "machine")


@pytest.mark.parametrize("broken", [{0: "a", 2: "b"}, {1: "a", 2: "b"}, {0: "a", 1: "a"}, {}])
def test_a_label_map_with_holes_or_twins_is_refused(broken: dict[int, str]) -> None:
    with pytest.raises(ValueError, match="does not name every logit once"):
        labels.ordered(broken)

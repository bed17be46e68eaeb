"""Words, and what the tokens that overlap them say together."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.text import words
from bento.types import FloatArray, IntArray, WordScore

texts = st.text() | st.text(alphabet=" \t\n\x1c\x85\u00a0\u2003\u200b\u3000ab\u0301\ufb01\U0001f600\u05d0")


@given(texts)
def test_words_are_those_of_str_split(text: str) -> None:
    assert [text[start:stop] for start, stop in words.split(text)] == text.split()


RULES: dict[WordScore, Callable[[list[float]], float]] = {"mean": np.mean, "first": itemgetter(0), "max": max}


def brute_force(spans: IntArray, offsets: IntArray, probabilities: FloatArray, rule: WordScore) -> list[float | None]:
    found: list[float | None] = []
    for start, stop in spans:
        mine = [p for (a, b), p in zip(offsets, probabilities, strict=True) if a < stop and b > start and a < b]
        found.append(float(RULES[rule](mine)) if mine else None)
    return found


@st.composite
def tokenised(draw: st.DrawFn) -> tuple[IntArray, IntArray, FloatArray]:
    """Words of a text, and tokens over it in any order, with gaps and overlaps."""
    spans = words.split(draw(st.text(alphabet="ab ", min_size=1, max_size=30)))
    pairs = st.tuples(st.integers(0, 30), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))
    offsets = np.array(draw(st.lists(pairs, max_size=20)), dtype=np.int64).reshape(-1, 2)
    unit = st.floats(0, 1, width=32)
    values = draw(st.lists(unit, min_size=len(offsets), max_size=len(offsets)))
    return spans, offsets, np.array(values, dtype=np.float32)


@given(tokenised(), st.sampled_from(list(RULES)))
def test_a_word_has_the_mean_the_first_or_the_highest_of_the_tokens_that_overlap_it(
    case: tuple[IntArray, IntArray, FloatArray], rule: WordScore
) -> None:
    spans, offsets, probabilities = case
    scores = words.score(spans, offsets, probabilities, rule)
    assert len(scores) == len(spans)
    for score, expected in zip(scores, brute_force(spans, offsets, probabilities, rule), strict=True):
        if expected is not None:
            assert score == pytest.approx(expected, abs=1e-5)
        assert 0 <= score <= 1


def test_a_leading_space_in_a_token_does_not_tie_it_to_the_word_before() -> None:
    spans = words.split("ab cd")
    offsets = np.array([[0, 2], [2, 5]])  # "ab", " cd"
    assert words.score(spans, offsets, np.array([0.25, 0.75], dtype=np.float32)).tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("tokens", "marks", "expected"),
    [
        # "ab", "▁", "cd": the mark is the first token of "cd", and of no word otherwise.
        ([(0, 2, 0.1), (2, 3, 0.2), (3, 5, 0.3)], [1], [0.1, 0.2]),
        ([(0, 2, 0.1), (2, 3, 0.2), (3, 5, 0.3)], [], [0.1, 0.3]),
        # "▁" with the first letter's offsets, as at the start of a text, or with none.
        ([(0, 1, 0.1), (0, 2, 0.2), (2, 5, 0.3)], [0], [0.1, 0.3]),
        ([(0, 0, 0.1), (0, 2, 0.2), (2, 5, 0.3)], [0], [0.1, 0.3]),
        # A letter that looks like the mark ends the word before: "aĠ", "cd".
        ([(0, 1, 0.1), (1, 2, 0.2), (3, 5, 0.3)], [1], [0.1, 0.3]),
        # A token of two words: the mark before it is the first word's.
        ([(0, 0, 0.1), (0, 5, 0.2)], [0], [0.1, 0.2]),
    ],
)
def test_a_lone_mark_of_a_space_is_the_first_token_of_the_word_behind_it(
    tokens: list[tuple[int, int, float]], marks: list[int], expected: list[float]
) -> None:
    table = np.array(tokens)
    flags = np.isin(np.arange(len(tokens)), marks)
    scores = words.score(words.split("ab cd"), table[:, :2].astype(np.int64), table[:, 2], "first", flags)
    assert scores == pytest.approx(expected)


def test_a_word_without_tokens_takes_its_neighbours_score() -> None:
    spans = words.split("\u200b ab \u200b cd")
    offsets = np.array([[2, 4], [7, 9]])
    scores = words.score(spans, offsets, np.array([0.25, 0.75], dtype=np.float32))
    assert scores.tolist() == [0.25, 0.25, 0.25, 0.75]


def test_a_text_without_tokens_scores_nothing() -> None:
    scores = words.score(words.split("\u200b"), np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32))
    assert scores.tolist() == [0.0]


def test_probability_of_one_two_and_more_labels() -> None:
    logits = np.array([[0.0, 1.0, -1.0], [100.0, 0.0, 1000.0]], dtype=np.float32)
    softmax = np.exp(1.0) / (1.0 + np.exp(1.0) + np.exp(-1.0))
    assert words.positive_probability(logits, [1]) == pytest.approx([softmax, 0.0])
    assert words.positive_probability(logits[:, :2], [1])[0] == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert words.positive_probability(logits[:, 1:2], [0])[0] == pytest.approx(1 / (1 + np.exp(-1.0)))


def test_probabilities_of_several_positive_labels_add_up() -> None:
    logits = np.array([[0.0, 1.0, -1.0]], dtype=np.float32)
    one, other = (words.positive_probability(logits, [label])[0] for label in (0, 2))
    assert words.positive_probability(logits, [0, 2])[0] == pytest.approx(one + other)
    assert words.positive_probability(logits, [0, 1, 2])[0] == pytest.approx(1)


def test_a_sigmoid_does_not_look_at_the_other_labels() -> None:
    logits = np.array([[7.0, 1.0, -7.0], [0.0, -1000.0, 0.0]], dtype=np.float32)
    assert words.positive_probability(logits, [1], "sigmoid") == pytest.approx([1 / (1 + np.exp(-1.0)), 0.0])
    assert words.positive_probability(logits[:, 1:2], [0], "sigmoid")[0] == pytest.approx(1 / (1 + np.exp(-1.0)))


def test_an_extreme_single_logit_does_not_overflow() -> None:
    logits = np.array([[-1000.0], [1000.0]], dtype=np.float32)
    assert words.positive_probability(logits, [0]).tolist() == [0.0, 1.0]

"""Composed documents: labels line up with `text.split()`, and tokens with words."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.command import Unfit
from train.corpus import Document
from train.dataset import HUMAN, LENGTHS, MACHINE, Composer, Splice, splice, word_of_token
from train.generate import Span

HUMAN_TEXT = " ".join(f"People wrote sentence {i}, as people do, in the end." for i in range(80))
DOCUMENT = Document("one", "train", HUMAN_TEXT)
STARTS = [m for m in range(len(HUMAN_TEXT)) if HUMAN_TEXT.startswith("People wrote", m)]


def span(start: int, kind: str = "span", words: int = 12) -> Span:
    text = " ".join(["Robots"] + ["robots"] * (words - 2) + ["robots."])
    return Span("one", start, kind, 0.8, 0.95, text.lower() if kind == "clause" else text)


def test_a_splice_labels_exactly_its_words() -> None:
    example = splice("One two. Three four. Five six.", [Splice(9, 20, "Uno dos tres.", MACHINE)])
    assert example.text == "One two. Uno dos tres. Five six."
    assert example.labels == (0, 0, 1, 1, 1, 0, 0)


def test_overlapping_splices_are_refused() -> None:
    with pytest.raises(ValueError, match="the splice at 9 overlaps"):
        splice("One two. Three four.", [Splice(0, 12, "a", MACHINE), Splice(9, 20, "b", HUMAN)])


@pytest.mark.parametrize("kind", ["any", "human", "machine", "mixed"])
@pytest.mark.parametrize("transplant", [False, True])
def test_machine_labels_are_on_the_machines_words(kind: str, transplant: bool) -> None:
    spans = [span(start, k) for start in STARTS[5::7] for k in ("span", "long")]
    spans += [span(HUMAN_TEXT.index("as people", start), "clause") for start in STARTS[3::9]]
    composer, rng = Composer([DOCUMENT], spans, transplant), random.Random(2)  # noqa: S311
    seen = set()
    for _ in range(60):
        example = composer.compose(rng, kind)
        assert len(example.labels) == len(example.words) == len(example.text.split())
        for word, label in zip(example.words, example.labels, strict=True):
            assert (label == MACHINE) == ("robots" in word.lower())
        assert len(example.words) <= LENGTHS[1] + 60
        seen |= set(example.labels)
    assert seen == {"human": {0}, "machine": {1}}.get(kind, {0, 1})


def test_composing_depends_on_the_seed_alone() -> None:
    composer = Composer([DOCUMENT], [span(start) for start in STARTS[5::7]])
    one, two = ([composer.compose(random.Random(s)) for s in range(9)] for _ in range(2))  # noqa: S311
    assert one == two
    assert len(set(one)) > 1


def test_without_spans_the_remedy_is_named() -> None:
    with pytest.raises(Unfit, match=r"run: make corpus"):
        Composer([DOCUMENT], [])


def test_tokens_find_their_words_with_and_without_the_space_before() -> None:
    text = "One  two three"
    offsets = [(0, 0), (0, 3), (3, 6), (6, 8), (8, 9), (9, 14), (0, 0)]
    assert word_of_token(text, offsets) == [None, 0, 1, 1, None, 2, None]


@given(st.lists(st.text(st.characters(blacklist_categories=("Z", "C")), min_size=1), min_size=1))
def test_each_words_own_characters_lead_back_to_it(words: list[str]) -> None:
    text = " ".join(words)
    split = text.split()
    at, offsets = 0, []
    for word in split:
        at = text.index(word, at)
        offsets.append((max(0, at - 1), at + len(word)))
        at += len(word)
    assert word_of_token(text, offsets) == list(range(len(split)))

"""A person's changes: labels stay with their words, and a synonym is the person's."""

import random

from hypothesis import given
from hypothesis import strategies as st

from train.dataset import HUMAN, MACHINE, Example
from train.editing import SYNONYMS, edited, typo

TEXT = "We need a large country, because many people often think that they know how to begin and help others. " * 6


@given(st.integers(0, 10_000), st.sampled_from([HUMAN, MACHINE]))
def test_every_word_keeps_its_writer_but_for_synonyms(seed: int, label: int) -> None:
    example = Example(TEXT.strip(), (label,) * len(TEXT.split()))
    found = edited(example, random.Random(seed))  # noqa: S311
    assert len(found.words) == len(found.labels) <= len(example.labels)
    assert 0.8 * len(example.labels) < len(found.labels)
    for word, given_label in zip(found.words, found.labels, strict=True):
        assert given_label == label or word.rstrip(".,") in SYNONYMS


def test_edits_of_every_kind_happen() -> None:
    example = Example(TEXT.strip(), (MACHINE,) * len(TEXT.split()))
    texts = [edited(example, random.Random(seed)) for seed in range(20)]  # noqa: S311
    assert any(HUMAN in one.labels for one in texts)
    assert any(len(one.labels) < len(example.labels) for one in texts)
    known = set(TEXT.split()) | {word + end for word in SYNONYMS for end in ("", ",", ".")}
    assert any(set(one.words) - known for one in texts)


@given(st.text("abcdefghij", min_size=3), st.integers())
def test_a_typo_leaves_the_first_letter_and_at_least_all_but_one(word: str, seed: int) -> None:
    found = typo(word, random.Random(seed))  # noqa: S311
    assert found[0] == word[0]
    assert len(word) - 1 <= len(found) <= len(word) + 1

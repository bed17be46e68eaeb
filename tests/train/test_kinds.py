"""The kinds of prose: what is read of a page and a message, and that the splits share no group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train import kinds
from train.command import Unfit
from train.corpus import divide
from train.mail import body
from train.pages import text_of

MESSAGE = b"""From: a@example.org
Subject: Re: [list] RE: The  Vote
Content-Type: text/plain

On Monday somebody wrote:
> We should vote.

I would rather
not vote.

See http://example.org/ for more.
--
A person. At a place.
"""


def test_a_page_is_its_paragraphs_without_headings_code_and_notes() -> None:
    page = (
        "<body><h1>Title.</h1><div class='para'>We use <code>ls</code>.<pre>ls -l.</pre></div><p>It <i>lists</i>.</p>"
    )
    assert text_of(page + "<table><tr><td>A cell.</td></tr></table><p>Menu") == "We use ls. It lists."


def test_a_message_is_what_its_sender_wrote() -> None:
    assert body(MESSAGE) == ("the vote", "I would rather not vote.")


def test_a_message_that_is_not_plain_text_is_empty() -> None:
    assert body(MESSAGE.replace(b"text/plain", b"text/html"))[1] == ""


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 1000), min_size=12))
def test_each_group_has_one_split_that_its_name_and_the_sizes_decide(groups: dict[str, int]) -> None:
    splits = divide(groups)
    assert list(splits) == list(groups)
    assert divide(dict(reversed(groups.items()))) == splits
    assert set(splits.values()) <= {"test", "validation", "train"}
    assert "test" in splits.values()


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(Unfit, match="no kind of prose is called 'poems'; the kinds are addresses, novels"):
        kinds.documents("train", ["poems"])

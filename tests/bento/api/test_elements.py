"""How much a JSON document holds is known before it is built."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.api.elements import at_most
from bento.errors import InvalidRequest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=6),
    max_leaves=40,
)


def values(document: Any) -> int:
    match document:
        case list():
            return 1 + sum(map(values, document))
        case dict():
            return 1 + sum(1 + values(value) for value in document.values())
    return 1


@given(VALUES, st.booleans())
def test_a_document_within_the_limit_is_left_as_it_is(document: Any, escaped: bool) -> None:
    body = json.dumps(document, ensure_ascii=escaped).encode()
    assert at_most(body, 10_000) == body


@given(VALUES, st.integers(1, 60), st.booleans())
def test_a_larger_one_becomes_a_beginning_of_it(document: Any, most: int, escaped: bool) -> None:
    body = json.dumps(document, ensure_ascii=escaped).encode()
    begun = at_most(body, most)
    if begun == body:
        return
    try:
        found = json.loads(begun)
    except ValueError:
        assert b"," not in begun  # nothing is whole before the first comma
        return
    assert values(found) <= most + 1
    assert begins(found, document)


def begins(found: Any, document: Any) -> bool:
    """Is `found` the document without some of its last values?"""
    match found, document:
        case list(), list():
            head, last = found[:-1], found[-1:]
            return head == document[: len(head)] and all(
                begins(*pair) for pair in zip(last, document[len(head) :], strict=False)
            )
        case dict(), dict():
            return all(key in document and begins(value, document[key]) for key, value in found.items())
    return bool(found == document)


@given(st.binary(max_size=200) | st.text(alphabet='"\\[]{},: a', max_size=200).map(str.encode), st.integers(1, 20))
def test_anything_else_is_left_to_the_parser(body: bytes, most: int) -> None:
    try:
        begun = at_most(body, most)
    except InvalidRequest:
        assert body.count(b"[") + body.count(b"{") > 32  # the only fault that it finds itself
        return
    assert begun == body or len(begun) <= len(body) + 32


@pytest.mark.parametrize(
    "body",
    [
        b'["' + rb"\"" * 2_000_000,
        b'["' + rb"\\" * 2_000_000 + b'"]',
        b'"' * 4_000_000,
        b"[" * 4_000_000,
        b"[" + b"[]," * 1_300_000,
        b'{"a":' * 800_000,
        b'"' + b"a" * 4_000_000,
        b"\\" * 4_000_000,
    ],
    ids=["quotes", "backslashes", "empty strings", "lists", "empty lists", "objects", "no end", "no string"],
)
def test_the_time_is_that_of_a_search(body: bytes) -> None:
    started = time.perf_counter()
    with contextlib.suppress(InvalidRequest):
        at_most(body, 3000)
    assert time.perf_counter() - started < 1.0  # some 10 ms; one pass more for each quote would be hours

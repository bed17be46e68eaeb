"""A body is bounded while it is read: its bytes, what it inflates to, its seconds, and all bodies together."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from bento.api import statuses
from bento.api.body import ARRIVAL, Arrival, Bodies, read_body
from bento.errors import (
    BodiesFull,
    BodyTooLarge,
    InvalidRequest,
    RequestTimeout,
    UnsupportedEncoding,
    WordtellError,
)
from bento.settings import ApiSettings

LIMITS = ApiSettings(max_body_bytes=10_000, receive_timeout_s=5)


def read(
    pieces: Sequence[bytes],
    headers: dict[str, str] | None = None,
    limits: ApiSettings = LIMITS,
    bodies: Bodies | None = None,
    ends: bool = True,
) -> bytes:
    """The body that comes in these pieces. ends: whether the last is said to be it, or the client goes away."""
    bodies = bodies or Bodies(1 << 20)
    before = bodies.held
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False} if ends else {"type": "http.disconnect"})

    async def receive() -> Any:
        return messages.pop(0)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    request = Request({"type": "http", "headers": raw, ARRIVAL: Arrival(time.perf_counter())}, receive)

    async def held() -> bytes:
        with bodies.of_one_request() as hold:
            body = await read_body(request, limits, hold)
            assert bodies.held - before == len(body)
            return body

    try:
        return asyncio.run(held())
    finally:
        assert bodies.held == before


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    ends = sorted({min(position, len(data)) for position in at})
    return [data[start:stop] for start, stop in zip([0, *ends], [*ends, len(data)], strict=True)]


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


CODINGS = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    " GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
}


@given(st.sampled_from(sorted(CODINGS)), st.binary(max_size=9000), st.lists(st.integers(0, 9000), max_size=4))
def test_every_coding_gives_the_body_back(coding: str, body: bytes, at: list[int]) -> None:
    assert read(cut(CODINGS[coding](body), at), {"Content-Encoding": coding}) == body


def test_a_gzip_file_of_several_members_is_one_body() -> None:
    assert read([gzip.compress(b"one ") + gzip.compress(b"two")], {"Content-Encoding": "gzip"}) == b"one two"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [10_001, 50_000_000])
def test_what_inflates_beyond_the_limit_is_not_inflated(coding: str, size: int) -> None:
    with pytest.raises(BodyTooLarge):
        read([CODINGS[coding](bytes(size))], {"Content-Encoding": coding})


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("data", [b"", b"not compressed at all", b"\x1f\x8b\x08", b"x\x9c", b"\x78"])
def test_broken_data_is_named(coding: str, data: bytes) -> None:
    with pytest.raises(InvalidRequest, match=f"the body is not {coding}"):
        read([data], {"Content-Encoding": coding})


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_cut_short_or_goes_on_is_named(coding: str) -> None:
    whole = CODINGS[coding](b"a body of some words")
    for data in (whole[:-5], whole + b"more"):
        with pytest.raises(InvalidRequest, match=f"the body is not {coding}"):
            read([data], {"Content-Encoding": coding})


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip, identity", "x" * 10_000])
def test_other_codings_are_refused(coding: str) -> None:
    with pytest.raises(UnsupportedEncoding) as error:
        read([b"a"], {"Content-Encoding": coding})
    assert len(error.value.message) < 200
    assert statuses.headers(error.value) == {"Accept-Encoding": "gzip, deflate, identity"}


def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    with pytest.raises(BodyTooLarge):
        read([], {"Content-Length": "10001"}, ends=False)


@pytest.mark.parametrize("length", ["10000", "0", "-1", "a", "9" * 30, "²", ""])
def test_any_other_length_is_only_read(length: str) -> None:
    assert read([b"a"], {"Content-Length": length}) == b"a"


def test_a_body_grows_to_its_limit_and_no_further() -> None:
    assert len(read([b"a" * 4000, b"b" * 4000, b"c" * 2000])) == 10_000
    with pytest.raises(BodyTooLarge):
        read([b"a" * 4000, b"b" * 4000, b"c" * 2001])


def test_all_bodies_share_one_limit() -> None:
    bodies = Bodies(15_000)
    with bodies.of_one_request() as other:
        other.add(9000)
        with pytest.raises(BodiesFull, match=r"api\.max_buffered_bytes, 15000 bytes"):
            read([b"a" * 6001], bodies=bodies)
        assert read([b"a" * 6000], bodies=bodies) == b"a" * 6000
    assert bodies.held == 0


def test_a_client_that_goes_away_is_told_apart() -> None:
    with pytest.raises(ClientDisconnect):
        read([b"a"], ends=False)


@pytest.mark.parametrize("pause", [0.02, 3600.0])
def test_a_slow_body_ends_at_its_deadline(pause: float) -> None:
    async def receive() -> Any:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def ask() -> bytes:
        request = Request({"type": "http", "headers": [], ARRIVAL: Arrival(time.perf_counter())}, receive)
        with Bodies(1000).of_one_request() as hold:
            return await read_body(request, ApiSettings(receive_timeout_s=0.2), hold)

    with pytest.raises(RequestTimeout, match=r"after 0\.2 s \(api\.receive_timeout_s\)") as error:
        asyncio.run(ask())
    assert isinstance(error.value, WordtellError)
    assert statuses.headers(error.value) == {"Connection": "close"}

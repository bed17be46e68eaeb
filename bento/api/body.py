"""Reads a request's body within its limits of bytes and seconds, and inflates it if it is compressed."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from bento.errors import BodiesFull, BodyTooLarge, InvalidRequest, RequestTimeout, UnsupportedEncoding, WordtellError
from bento.settings import ApiSettings

# The key of a request's scope under which the connection stores an Arrival.
ARRIVAL = "wordtell.arrival"
# zlib's window bits: 16 more reads gzip's header, 32 more gzip's or zlib's, negative ones neither.
_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS
# Inflated at a time; a compressed body of 4 KB can be a thousand times as long.
_PIECE = 64 * 1024


@dataclass
class Arrival:
    """The state of a request's arrival. first_byte: when, by time.perf_counter(). fault: its error, once known."""

    first_byte: float
    fault: WordtellError | None = None


class Bodies:
    """Counts the bytes of the bodies of all requests together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    @contextmanager
    def of_one_request(self) -> Iterator[Hold]:
        """Bytes that are counted inside the block are released at its end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.held -= hold.size

    def take(self, size: int) -> None:
        """Raises BodiesFull."""
        if self.held + size > self._limit:
            raise BodiesFull(self._limit)
        self.held += size


@dataclass
class Hold:
    """One request's part of it."""

    bodies: Bodies
    size: int = 0

    def add(self, size: int) -> None:
        """Raises BodiesFull."""
        self.bodies.take(size)
        self.size += size


def declared_length(request: Request) -> int:
    """The body's length by its header; 0 without one."""
    given = request.headers.get("Content-Length", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 20 else 0


async def read_body(request: Request, limits: ApiSettings, hold: Hold) -> bytes:
    """All of it. Raises BodyTooLarge, before a byte is read where the length is declared; BodiesFull; RequestTimeout;
    UnsupportedEncoding; InvalidRequest where compressed data is broken; ClientDisconnect; what the connection finds.
    """
    body = bytearray()
    async for piece in pieces_of(request, limits.max_body_bytes, limits.receive_timeout_s):
        hold.add(len(piece))
        body += piece
    return bytes(body)


async def pieces_of(
    request: Request, most_bytes: int, seconds: float, setting: str = "api.receive_timeout_s"
) -> AsyncIterator[bytes]:
    """The body, inflated, at most 64 KiB at a time. Raises what `read_body` raises but BodiesFull.

    seconds: the limit from its first byte to its last; `setting` is the name of that limit.
    """
    inflate = _inflater(request.headers.get("Content-Encoding", ""))
    if declared_length(request) > most_bytes:
        raise BodyTooLarge(most_bytes)
    arrival: Arrival = request.scope[ARRIVAL]
    deadline = arrival.first_byte + seconds
    size = 0
    more = True
    while more:
        try:
            message = await asyncio.wait_for(request.receive(), max(0.0, deadline - time.perf_counter()))
        except (asyncio.TimeoutError, TimeoutError):  # two classes before Python 3.11
            raise RequestTimeout(seconds, setting) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if arrival.fault is not None:
            raise arrival.fault
        more = message.get("more_body", False)
        for piece in inflate.pieces(message.get("body", b"")):
            size += len(piece)
            if size > most_bytes:
                raise BodyTooLarge(most_bytes)
            yield piece
    inflate.expect_end()


class _Plain:
    """An uncompressed body."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield data

    def expect_end(self) -> None:
        pass


class _Inflate:
    """A compressed body, inflated piece by piece."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Raises InvalidRequest."""
        try:
            while data:
                if self._stream is None or (self._stream.eof and self._encoding == "gzip"):
                    self._stream = zlib.decompressobj(self._window_bits(data))  # a gzip file may have several members
                elif self._stream.eof:
                    raise zlib.error("data follows its end")
                yield self._stream.decompress(data, _PIECE)
                data = self._stream.unconsumed_tail or self._stream.unused_data
        except zlib.error as error:
            raise InvalidRequest(f"the body is not {self._encoding}: {error}", "body") from None

    def expect_end(self) -> None:
        """Raises InvalidRequest."""
        if self._stream is None or not self._stream.eof:
            raise InvalidRequest(f"the body is not {self._encoding}: it is cut short", "body")

    def _window_bits(self, data: bytes) -> int:
        if self._encoding == "gzip":
            return _GZIP
        # RFC 9110, 8.4.1.2: `deflate` is zlib's format, and some clients send it without its two bytes of header.
        return _ZLIB if data[0] & 0x0F == 8 and data[0] >> 4 <= 7 else _RAW


def _inflater(encoding: str) -> _Plain | _Inflate:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Inflate("gzip")
        case "deflate":
            return _Inflate("deflate")
    raise UnsupportedEncoding(encoding)

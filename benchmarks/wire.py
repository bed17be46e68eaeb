"""HTTP/1.1 over a plain socket: sends exactly the caller's bytes, also invalid ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_PIECE = 1 << 16


class Broken(Exception):
    """What the server sent is not HTTP."""


@dataclass(frozen=True)
class Answer:
    """An answer, `seconds` after the first byte of the request was sent. Status 0: closed without an answer."""

    status: int
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body. Raises ValueError."""
        return json.loads(self.body)


def head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """A request's head."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def request(path: str, body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST") -> bytes:
    """A whole request; `headers` go over those that a client sends by itself."""
    usual = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
    return head(method, path, usual | dict(headers or {})) + body


class Connection:
    """One connection. Use as an asynchronous context manager."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Connection:
        # No limit of the reader's own: an answer of many texts is long.
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 26)
        self._started = time.perf_counter()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()

    @property
    def usable(self) -> bool:
        """Whether neither side has closed it."""
        return not (self._reader.at_eof() or self._writer.transport.is_closing())

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._writer.transport.abort()

    def end(self) -> None:
        """Tell the server that nothing more will come; go on to listen."""
        with contextlib.suppress(OSError):  # the server may have closed
            self._writer.write_eof()

    async def write(self, data: bytes | memoryview) -> bool:
        """Send all of it; False when the server has closed meanwhile."""
        view = memoryview(data)
        try:
            for start in range(0, len(view), _PIECE):
                self._writer.write(view[start : start + _PIECE])
                await self._writer.drain()
        except (ConnectionError, OSError):
            return False
        return not self._writer.transport.is_closing()

    async def read(self, method: str = "POST") -> Answer:
        """The next answer that is not `100 Continue`; of status 0 when there is none. Raises Broken."""
        try:
            while True:
                status, headers = _parsed(await self._reader.readuntil(b"\r\n\r\n"))
                if status >= 200:
                    break
            body = b"" if method == "HEAD" or status in (204, 304) else await self._body(headers)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Broken(f"the answer ends in its middle: {error.partial[:200]!r}") from None
            return Answer(0, self._elapsed())
        except ConnectionError:
            return Answer(0, self._elapsed())
        return Answer(status, self._elapsed(), headers, body)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._started

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            length = headers.get("content-length")
            return await (self._reader.read() if length is None else self._reader.readexactly(int(length)))
        pieces: list[bytes] = []
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            pieces.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readuntil(b"\r\n")
        return b"".join(pieces)


async def exchange(
    port: int, pieces: Iterable[bytes] | AsyncIterator[bytes], timeout_s: float, method: str = "POST"
) -> Answer:
    """Send pieces while listening for the answer, which may come before the last of them.

    Raises TimeoutError after `timeout_s` without an answer, and Broken.
    """
    async with Connection(port) as connection:
        sending = asyncio.create_task(_send(connection, pieces))
        try:
            return await asyncio.wait_for(connection.read(method), timeout_s)
        finally:
            sending.cancel()


async def _send(connection: Connection, pieces: Iterable[bytes] | AsyncIterator[bytes]) -> None:
    if isinstance(pieces, AsyncIterator):
        async for piece in pieces:
            if not await connection.write(piece):
                return
    else:
        for piece in pieces:
            if not await connection.write(piece):
                return


def _parsed(text: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = text.decode("latin-1").split("\r\n")
    version, status, *_ = [*first.split(" "), ""]
    if not version.startswith("HTTP/1.") or not status.isdecimal():
        raise Broken(f"the answer begins with {first[:200]!r}")
    pairs = (line.partition(":") for line in lines if line)
    return int(status), {name.lower(): value.strip() for name, _, value in pairs}

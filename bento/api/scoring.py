"""The steps of every scoring request, for all protocols: key, model, admission, body, texts, scores.

Each step has a limit that is checked before its work: see docs/architecture/6-limits.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from pydantic import SecretStr
from starlette.requests import ClientDisconnect

from bento.alignment import Partial
from bento.api.body import Bodies, Hold, declared_length, read_body
from bento.api.lifecycle import Lifecycle
from bento.detector import Detector, Scores
from bento.errors import (
    BodyTooLarge,
    ConnectionsFull,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotReady,
    Overloaded,
    RequestTimeout,
    TextTooLong,
    TooManySentences,
    TooManyWords,
    Unauthorized,
    UnknownModel,
    UnknownVersion,
    UnsupportedEncoding,
)
from bento.settings import ApiSettings
from bento.types import FloatArray

# All errors that such a request can be refused with.
FAULTS = (
    InvalidRequest,
    TooManySentences,
    TooManyWords,
    TextTooLong,
    BodyTooLarge,
    UnsupportedEncoding,
    RequestTimeout,
    Unauthorized,
    Overloaded,
    ModelNotReady,
    DeadlineExceeded,
)
# A body of more bytes takes milliseconds to read as JSON.
_LARGE = 64 * 1024
# Connections that are kept from scoring requests, for probes and refusals: one that waits for its client makes room for
# a new one, one whose request is being answered does not.
_SPARE = 64
# Of a document that is followed: the longest time without an item, and the shortest between two.
_SILENCE_S = 15.0
_PAUSE_S = 0.1

Parsed = TypeVar("Parsed")


class Desk:
    """The entry of scoring requests. All routes share one, which counts the bytes of all bodies together."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._api = lifecycle.settings.api
        self._bodies = Bodies(self._api.max_buffered_bytes)
        self._parsing = asyncio.Lock()
        self._most = max(1, self._api.max_connections - _SPARE)
        self._open = 0

    @asynccontextmanager
    async def serve(
        self, request: Request, model: str | None = None, version: str | None = None
    ) -> AsyncIterator[Turn]:
        """One request, before its body is read. model, version: those that its path asks for.

        Raises Unauthorized, ModelNotReady, UnknownModel, UnknownVersion and Overloaded.
        """
        owner = owner_of(request, self._api.keys)
        detector = self._lifecycle.detector
        if model is not None:
            named(detector, model, version)
        detector.expect_room(declared_length(request))
        if self._open >= self._most:
            raise ConnectionsFull(self._open)
        self._open += 1
        try:
            with self._bodies.of_one_request() as hold:
                yield Turn(request, detector, owner, self._api, hold, self._parsing)
        finally:
            self._open -= 1


@dataclass
class Turn:
    """One admitted request. detector: what answers it. owner: whose texts they are, by the API key."""

    request: Request
    detector: Detector
    owner: str
    limits: ApiSettings
    hold: Hold
    parsing: asyncio.Lock
    started: float = 0.0

    @property
    def seconds(self) -> float:
        """Since the last byte of the request."""
        return time.perf_counter() - self.started

    async def read(self, parse: Callable[[bytes], Parsed]) -> Parsed:
        """The body, as `parse` understands it. Raises what read_body and `parse` raise."""
        body = await read_body(self.request, self.limits, self.hold)
        self.started = time.perf_counter()
        if len(body) <= _LARGE:
            return parse(body)
        async with self.parsing:  # one large body each turn of the event loop: others get theirs between
            await asyncio.sleep(0)
            return parse(body)

    async def score(self, texts: Sequence[str], field: str) -> Scores:
        """The scores. If the client closes the connection or the deadline passes, work that has not begun is dropped.

        field: what the client calls the list of texts. Raises ClientDisconnect, DeadlineExceeded, and what
        `Detector.score` raises.
        """
        async with self._wanted(self.detector.score(texts, owner=self.owner, field=field, bounded=True)) as waiting:
            await waiting.until_done()
            return waiting.work.result()

    async def follow(self, text: str, field: str) -> AsyncIterator[FloatArray | Scores]:
        """A document's scores: those of its first words, more each time, and in the end all of them.

        The first item comes when the document is admitted; at least one comes every 15 seconds, and at most ten a
        second. Raises what `score` raises.
        """
        changed = asyncio.Event()
        partial = Partial(_setter(asyncio.get_running_loop(), changed))
        scoring = self.detector.score_document(text, partial, owner=self.owner, field=field)
        async with self._wanted(scoring) as waiting:
            while not await waiting.until(changed, _SILENCE_S):
                changed.clear()
                yield await asyncio.get_running_loop().run_in_executor(None, partial.scores)
                await asyncio.wait({waiting.work}, timeout=_PAUSE_S)
            yield waiting.work.result()

    @asynccontextmanager
    async def _wanted(self, scoring: Coroutine[Any, Any, Scores]) -> AsyncIterator[_Waiting]:
        """Work that is dropped at the end of the block."""
        work = asyncio.ensure_future(scoring)
        gone = asyncio.ensure_future(_disconnected(self.request))
        try:
            yield _Waiting(self, work, gone)
        finally:
            gone.cancel()
            work.cancel()
            work.add_done_callback(_seen)


@dataclass
class _Waiting:
    """Waits for scores until the client is gone or the deadline has passed."""

    turn: Turn
    work: asyncio.Future[Scores]
    gone: asyncio.Future[None]

    async def until_done(self) -> None:
        """Raises ClientDisconnect and DeadlineExceeded."""
        while not await self.until(None, math.inf):
            pass

    async def until(self, changed: asyncio.Event | None, seconds: float) -> bool:
        """Wait for a change, or so long; whether the work is done. Raises ClientDisconnect and DeadlineExceeded."""
        left = self.turn.limits.timeout_s - self.turn.seconds
        ends: set[asyncio.Future[Any]] = {self.work, self.gone}
        news: asyncio.Future[Any] = asyncio.ensure_future(changed.wait()) if changed else self.gone
        try:
            await asyncio.wait({*ends, news}, timeout=min(left, seconds), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if changed:
                news.cancel()
        if self.work.done():
            return True
        if self.gone.done():
            raise ClientDisconnect
        if self.turn.seconds >= self.turn.limits.timeout_s:
            raise DeadlineExceeded(self.turn.limits.timeout_s)
        return False


def _setter(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> Callable[[], None]:
    """What a lane calls to set an event of this loop."""

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is closed, and with it all waiting requests
            loop.call_soon_threadsafe(changed.set)

    return tell


def named(detector: Detector, name: str, version: str | None = None) -> Detector:
    """Raises UnknownModel or UnknownVersion when the detector serves another."""
    if name != detector.name:
        raise UnknownModel(name, detector.name)
    if version not in (None, detector.version):
        raise UnknownVersion(str(version), detector.version)
    return detector


def owner_of(request: Request, keys: Sequence[SecretStr]) -> str:
    """The owner of a request: a digest of its key; empty without `api.keys`.

    Raises Unauthorized, in a time that does not depend on how much of the key was right.
    """
    if not keys:
        return ""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = given.strip().encode()
    matches = [secrets.compare_digest(token, key.get_secret_value().encode()) for key in keys]
    if scheme.lower() != "bearer" or not any(matches):
        raise Unauthorized
    return hashlib.sha256(token).hexdigest()


async def _disconnected(request: Request) -> None:
    """Returns when the client has closed the connection: nothing else can come after the body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _seen(work: asyncio.Future[Scores]) -> None:
    """Ignore a failure at the moment when the client closed the connection."""
    if not work.cancelled():
        work.exception()

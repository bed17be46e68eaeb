"""The way of every scoring request, by whichever protocol: key, model, body, then scores while they are wanted."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import numpy as np
from fastapi import Request
from pydantic import SecretStr
from starlette.requests import ClientDisconnect

from bento.api.body import read_body
from bento.api.lifecycle import Lifecycle
from bento.detector import Detector, Scores
from bento.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotReady,
    Overloaded,
    TooManySentences,
    TooManyWords,
    Unauthorized,
)
from bento.types import FloatArray

# Everything that such a request can be refused with.
FAULTS = (
    InvalidRequest,
    TooManySentences,
    TooManyWords,
    BodyTooLarge,
    Unauthorized,
    Overloaded,
    ModelNotReady,
    DeadlineExceeded,
)


async def admit(request: Request, lifecycle: Lifecycle) -> tuple[Detector, bytes]:
    """The detector that will answer, and the body. Raises Unauthorized, ModelNotReady, BodyTooLarge."""
    _authorize(request, lifecycle.settings.api.keys)
    detector = lifecycle.detector
    return detector, await read_body(request, lifecycle.settings.api.max_body_bytes)


async def score(request: Request, detector: Detector, texts: Sequence[str], timeout_s: float) -> Scores:
    """The scores, unless the client goes away or its time is up: then its queued work is dropped.

    To be called when the body is read. Raises ClientDisconnect, DeadlineExceeded, and what `Detector.score` raises.
    """
    work = asyncio.ensure_future(detector.score(texts))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect if gone.done() else DeadlineExceeded(timeout_s)
    finally:
        work.cancel()
        gone.cancel()


def rounded(probabilities: FloatArray) -> list[float]:
    """To 4 places, as float64: the shortest decimal of a rounded float32 has more."""
    return list(np.round(probabilities.astype(np.float64), 4).tolist())


def _authorize(request: Request, keys: Sequence[SecretStr]) -> None:
    """Raises Unauthorized, in a time that does not tell how much of a key was right."""
    if not keys:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    matches = [secrets.compare_digest(given.strip().encode(), key.get_secret_value().encode()) for key in keys]
    if scheme.lower() != "bearer" or not any(matches):
        raise Unauthorized


async def _disconnected(request: Request) -> None:
    """Returns once the client has gone away: nothing else can come after the body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

"""The protocol of the clients, without input and output: generators of steps, which both clients carry out.

For a `Send`, the client makes the request and sends the response to the generator, or None if none came. For a `Piece`,
it sends the next bytes of the response that was opened last, or None if it has ended or the connection was lost. For a
`Wait`, it waits and sends None. Anything else that a generator yields is a result for the caller.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from bento.client.errors import Refused, Unreachable

# A later attempt may succeed: overload, a model that is loading, a gateway whose server restarts, a deadline.
_AGAIN = frozenset({408, 429, 502, 503, 504})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0

Found = TypeVar("Found")


@dataclass(frozen=True)
class Send:
    """A request to make. json: its body. pieces: instead, a function that returns the pieces of a body from the start.

    opened: a successful response is read by `Piece` steps.
    """

    method: str
    path: str
    json: Any = None
    pieces: Callable[[], Iterator[bytes]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    opened: bool = False


@dataclass(frozen=True)
class Wait:
    """A wait of so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Piece:
    """Asks for the next bytes of the opened response."""


Answer = httpx.Response | bytes | None
Steps = Generator[Send | Wait | Piece | Found, Answer, None]
Asking = Generator[Send | Wait | Piece | Found, Answer, httpx.Response]


@dataclass(frozen=True)
class Subject:
    """What errors name. index: the place of a text."""

    name: str
    index: int | None = None


def asked(send: Send, subject: Subject, patience_s: float) -> Asking[Any]:
    """Send until an answer has a status that is not in _AGAIN. Raises Unreachable after `patience_s` of waits."""
    waited = 0.0
    for attempt in itertools.count():
        response = yield send
        assert not isinstance(response, bytes)  # noqa: S101 - no piece was asked for
        if response is not None and response.status_code not in _AGAIN:
            return response
        seconds = _wait(response, attempt)
        if waited + seconds > patience_s:
            reason = "no connection" if response is None else ": ".join(fault(response)[:2])
            raise Unreachable(subject.name, patience_s, reason, subject.index)
        waited += seconds
        yield Wait(seconds)
    raise AssertionError  # itertools.count has no end


def fault(response: httpx.Response) -> tuple[str, str, str]:
    """The code, message and field of an error; the code of a success is ""."""
    if response.is_success:
        return "", "", ""
    try:
        error = response.json()["error"]
        return str(error["code"]), str(error["message"]), str(error.get("field") or "")
    except (ValueError, KeyError, TypeError, AttributeError):  # from a proxy or gateway
        return "http", response.reason_phrase, ""


def granted(response: httpx.Response, subject: Subject) -> httpx.Response:
    """The response itself, if it is a success. Raises Refused."""
    code, message, _ = fault(response)
    if code:
        raise Refused(subject.name, response.status_code, code, message, subject.index)
    return response


def _wait(response: httpx.Response | None, attempt: int) -> float:
    """Seconds until the next attempt: the server's Retry-After, else 0.5 s, doubled each time up to 30 s.

    The time is multiplied by a random factor of 1 to 1.5, so that clients that were refused together come back apart.
    """
    seconds = min(_FIRST_WAIT_S * 2.0**attempt, _LONGEST_WAIT_S)
    if response is not None:
        for name, scale in (("Retry-After-Ms", 1000), ("Retry-After", 1)):
            try:
                seconds = max(0.0, float(response.headers[name]) / scale)
                break
            except (KeyError, ValueError):  # a date (RFC 9110) is not what this server sends
                continue
    return seconds * float(random.uniform(1, 1.5))  # noqa: S311 - no secret

"""What a client says to a server, without saying it: generators of steps that a sync and an async client both walk.

A generator yields a `Send`, and is sent the response (or None where none came); a `Piece`, and is sent the next bytes
of the response that was last opened (or None where it ended or broke); a `Wait`, and is sent None; or a result, which
is anything else and the caller's.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from bento.client.errors import Refused, Unreachable

# What another moment may change: overload, a model that loads, a gateway whose server restarts, a deadline.
_AGAIN = frozenset({408, 429, 502, 503, 504})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0

Found = TypeVar("Found")


@dataclass(frozen=True)
class Send:
    """A request to make. json: its body; or pieces: a call that gives it from its beginning, as often as asked.

    opened: the answer is read piece by piece, if it is a success.
    """

    method: str
    path: str
    json: Any = None
    pieces: Callable[[], Iterator[bytes]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    opened: bool = False


@dataclass(frozen=True)
class Wait:
    """Seconds to wait."""

    seconds: float


@dataclass(frozen=True)
class Piece:
    """The next bytes of the opened response are wanted."""


Answer = httpx.Response | bytes | None
Steps = Generator[Send | Wait | Piece | Found, Answer, None]
Asking = Generator[Send | Wait | Piece | Found, Answer, httpx.Response]


@dataclass(frozen=True)
class Subject:
    """What an error names. index: of a text."""

    name: str
    index: int | None = None


def asked(send: Send, subject: Subject, patience_s: float) -> Asking[Any]:
    """Send until there is an answer that another moment would not change. Raises Unreachable."""
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
    """Code, message and field of an error; the code is "" where there is none."""
    if response.is_success:
        return "", "", ""
    try:
        error = response.json()["error"]
        return str(error["code"]), str(error["message"]), str(error.get("field") or "")
    except (ValueError, KeyError, TypeError, AttributeError):  # whatever stands before the server
        return "http", response.reason_phrase, ""


def granted(response: httpx.Response, subject: Subject) -> httpx.Response:
    """The same. Raises Refused where it is an error."""
    code, message, _ = fault(response)
    if code:
        raise Refused(subject.name, response.status_code, code, message, subject.index)
    return response


def _wait(response: httpx.Response | None, attempt: int) -> float:
    """Seconds until the next attempt: what the server asks for, else doubled each time; up to half as long again.

    So clients which were refused together do not come back together.
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

"""What a client says to a server, without saying it: a generator of steps that a sync and an async client both walk.

It yields a `Send`, and is sent the response (or None where none came); a `Wait`, and is sent None; or a `Result`.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import BaseModel

from bento.client.errors import Refused, Unreachable
from bento.passages import Offsets, Span, Summary, Threshold

_SENTENCES, _DOCUMENT = "/api/v1/predict/sentences", "/api/v1/predict/document"
# What another moment may change: overload, a model that loads, a gateway whose server restarts, a deadline.
_AGAIN = frozenset({408, 429, 502, 503, 504})
# What a smaller request may change.
_TOO_MUCH = frozenset({"too_many_sentences", "text_too_long", "too_many_words", "body_too_large"})
_REQUEST_CHARACTERS = 500_000  # of all texts of a request: well below 4 MiB, however they are escaped
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0


class Result(BaseModel):
    """The answer for one text; index: which of the texts it was. The lower fields are those that were asked for."""

    index: int
    text: str
    probabilities: list[float]
    model_version: str
    offsets: Offsets | None = None
    spans: list[Span] | None = None
    summary: Summary | None = None
    threshold: Threshold | None = None


@dataclass(frozen=True)
class Send:
    """A POST to make."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Wait:
    """Seconds to wait."""

    seconds: float


Steps = Generator[Send | Wait | Result, httpx.Response | None, None]
_Numbered = list[tuple[int, str]]


@dataclass(frozen=True)
class Exchange:
    """How texts are sent.

    include: what is asked for besides the probabilities. max_texts, max_words: of a request, and of a text in it; a
    longer text goes as a document. Where the server's limits are lower, it says so, and the request is halved.
    patience_s: the most seconds that are waited for one request's turn, over all its retries.
    """

    include: tuple[str, ...]
    max_texts: int
    max_words: int
    patience_s: float

    def steps(self, texts: Iterable[str]) -> Steps:
        """Score texts, which are read as they are needed; results come in their order."""
        for batch in self._batches(texts):
            pending = [batch]
            while pending:
                now = pending.pop(0)
                as_document = len(now) == 1 and len(now[0][1].split()) > self.max_words
                response = yield from self._ask(now, as_document)
                code, message, field = _fault(response)
                if code in _TOO_MUCH and len(now) > 1:
                    pending[:0] = [now[: len(now) // 2], now[len(now) // 2 :]]
                    continue
                if code in _TOO_MUCH and not as_document:
                    response = yield from self._ask(now, True)
                    code, message, field = _fault(response)
                    as_document = True
                if code:
                    raise Refused(now[_place(field, len(now))][0], response.status_code, code, message)
                yield from self._results(now, response.json(), as_document)

    def _batches(self, texts: Iterable[str]) -> Iterable[_Numbered]:
        batch: _Numbered = []
        size = 0
        for index, text in enumerate(texts):
            long = len(text.split()) > self.max_words
            if batch and (long or len(batch) == self.max_texts or size + len(text) > _REQUEST_CHARACTERS):
                yield batch
                batch, size = [], 0
            if long:
                yield [(index, text)]
                continue
            batch.append((index, text))
            size += len(text)
        if batch:
            yield batch

    def _ask(
        self, batch: _Numbered, as_document: bool
    ) -> Generator[Send | Wait | Result, httpx.Response | None, httpx.Response]:
        texts = [text for _, text in batch]
        body: dict[str, Any] = {"sentences": texts}
        if self.include:
            body["include"] = list(self.include)
        send = Send(_DOCUMENT, {"text": texts[0]}) if as_document else Send(_SENTENCES, body)
        waited = 0.0
        for attempt in itertools.count():
            response = yield send
            if response is not None and response.status_code not in _AGAIN:
                return response
            seconds = _wait(response, attempt)
            if waited + seconds > self.patience_s:
                reason = "no connection" if response is None else ": ".join(_fault(response)[:2])
                raise Unreachable(batch[0][0], self.patience_s, reason)
            waited += seconds
            yield Wait(seconds)
        raise AssertionError  # itertools.count has no end

    def _results(self, batch: _Numbered, answer: dict[str, Any], as_document: bool) -> Steps:
        metadata = answer["metadata"]
        for place, (index, text) in enumerate(batch):
            given = {
                name: answer[name] if as_document else answer[name][place]
                for name in ("probabilities", *self.include)
                if name in answer
            }
            yield Result(
                index=index,
                text=text,
                model_version=metadata["model_version"],
                threshold=metadata.get("threshold") if {"spans", "summary"} & set(self.include) else None,
                **given,
            )


def _fault(response: httpx.Response) -> tuple[str, str, str]:
    """Code, message and field of an error; the code is "" where there is none."""
    if response.is_success:
        return "", "", ""
    try:
        error = response.json()["error"]
        return str(error["code"]), str(error["message"]), str(error.get("field") or "")
    except (ValueError, KeyError, TypeError, AttributeError):  # whatever stands before the server
        return "http", response.reason_phrase, ""


def _place(field: str, count: int) -> int:
    """Which text of a request its error names; the first where it names none."""
    found = re.search(r"\[(\d+)\]", field)
    return min(int(found[1]), count - 1) if found else 0


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


def checked(include: Sequence[str]) -> tuple[str, ...]:
    """Raises ValueError for what cannot be asked for."""
    if unknown := set(include) - {"offsets", "spans", "summary"}:
        raise ValueError(f"include has {', '.join(sorted(unknown))}: it may have offsets, spans and summary")
    return tuple(include)

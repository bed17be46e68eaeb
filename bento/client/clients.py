"""The sync and the async client. Both carry out the same steps, each with its own way to send and to wait."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, closing
from typing import Any, TypeVar

import httpx

from bento.client import jobs
from bento.client.asking import Answer, Piece, Send, Steps, Wait
from bento.client.exchange import Exchange, Result, checked
from bento.client.jobs import JobResult, Source
from bento.jobs.told import Job

Found = TypeVar("Found")


class _Base:
    def __init__(  # noqa: PLR0913 - all but the address by name
        self,
        address: str,
        *,
        key: str | None = None,
        include: Sequence[str] = (),
        max_texts: int = 120,
        max_words: int = 350,
        patience_s: float = 300.0,
        timeout_s: float = 150.0,
    ) -> None:
        """address: the URL of the server, with its base path if it has one. key: an API key.

        include: any of offsets, spans and summary. max_texts: the most texts of a request. max_words: the most words of
        a text in it; a longer text is sent as a document. patience_s: the most seconds of waits for a server that is
        busy or cannot be reached, per request. timeout_s: the most seconds for one answer.
        """
        self._exchange = Exchange(checked(include), max_texts, max_words, patience_s)
        self._jobs = jobs.Exchange(patience_s)
        self._options: dict[str, Any] = {
            "base_url": address.rstrip("/"),
            "timeout": timeout_s,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
        }


class Client(_Base):
    """`with Client("http://localhost:3000") as client: client.score(texts)`. For one thread at a time."""

    def __enter__(self) -> Client:
        self._http = httpx.Client(**self._options)
        self.jobs = Jobs(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def score(self, texts: Iterable[str]) -> Iterator[Result]:
        """The results in the order of the texts. Raises Refused and Unreachable, which name the text."""
        return self._walk(self._exchange.steps(texts))

    def _walk(self, steps: Steps[Found]) -> Iterator[Found]:
        answer: Answer = None
        pieces: Iterator[bytes] = iter(())
        with ExitStack() as opened:
            while (step := _next(steps, answer)) is not None:
                answer = None
                try:
                    if isinstance(step, Wait):
                        time.sleep(step.seconds)
                    elif isinstance(step, Piece):
                        answer = next(pieces, None)
                    elif isinstance(step, Send):
                        opened.close()
                        content = None if step.pieces is None else step.pieces()
                        response = self._http.send(_request(self._http, step, content), stream=True)
                        opened.callback(response.close)
                        if step.opened and response.is_success:
                            pieces = response.iter_bytes()
                        else:
                            response.read()
                        answer = response
                    else:
                        yield step
                except httpx.TransportError:
                    answer = None


class Jobs:
    """`client.jobs`: texts that the server keeps and scores in the background."""

    def __init__(self, client: Client) -> None:
        self._exchange, self._walk = client._jobs, client._walk

    def submit(self, source: Source, key: str | None = None) -> Job:
        """Make a job of a JSON Lines file (a path), of texts (whose ids are their places), or of pairs of id and text.

        key: the Idempotency-Key; by default the body's SHA-256, so that the same texts are the same job while the
        server keeps it. Raises Refused, Unreachable and OSError.
        """
        body = jobs.opened(source)
        with closing(body.file):
            return _last(self._walk(self._exchange.submit(body, key)))

    def get(self, job: Job | str) -> Job:
        """The state of a job. This and the methods below raise Refused and Unreachable."""
        return _last(self._walk(self._exchange.get(_id(job))))

    def watch(self, job: Job | str) -> Iterator[Job]:
        """The state of a job, every 0.5 to 15 seconds until it has ended."""
        return self._walk(self._exchange.watch(_id(job)))

    def wait(self, job: Job | str) -> Job:
        """Wait until a job has ended, and return its state: `done`, or `failed` with its reason."""
        return _last(self.watch(job))

    def results(self, job: Job | str, start: int = 0) -> Iterator[JobResult]:
        """The results in the order of the texts; waits for those that are missing. start: the place of the first."""
        return self._walk(self._exchange.results(_id(job), start))

    def delete(self, job: Job | str) -> Job:
        """Cancel a job if it has not ended, and delete its texts and results. Returns its last state."""
        return _last(self._walk(self._exchange.delete(_id(job))))


class AsyncClient(_Base):
    """`async with AsyncClient("http://localhost:3000") as client: client.score(texts)`, to iterate by `async for`."""

    async def __aenter__(self) -> AsyncClient:
        self._http = httpx.AsyncClient(**self._options)
        self.jobs = AsyncJobs(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def score(self, texts: Iterable[str]) -> AsyncIterator[Result]:
        """The results in the order of the texts. Raises Refused and Unreachable, which name the text."""
        return self._walk(self._exchange.steps(texts))

    async def _walk(self, steps: Steps[Found]) -> AsyncIterator[Found]:
        answer: Answer = None
        pieces: AsyncIterator[bytes] = _async(())
        async with AsyncExitStack() as opened:
            while (step := _next(steps, answer)) is not None:
                answer = None
                try:
                    if isinstance(step, Wait):
                        await asyncio.sleep(step.seconds)
                    elif isinstance(step, Piece):
                        answer = await anext(pieces, None)
                    elif isinstance(step, Send):
                        await opened.aclose()
                        content = None if step.pieces is None else _async(step.pieces())
                        response = await self._http.send(_request(self._http, step, content), stream=True)
                        opened.push_async_callback(response.aclose)
                        if step.opened and response.is_success:
                            pieces = response.aiter_bytes()
                        else:
                            await response.aread()
                        answer = response
                    else:
                        yield step
                except httpx.TransportError:
                    answer = None


class AsyncJobs:
    """`client.jobs` of an AsyncClient: the methods of Jobs, for `await` and `async for`."""

    def __init__(self, client: AsyncClient) -> None:
        self._exchange, self._walk = client._jobs, client._walk

    async def submit(self, source: Source, key: str | None = None) -> Job:
        """As Jobs.submit; the source is read on another thread."""
        body = await asyncio.to_thread(jobs.opened, source)
        with closing(body.file):
            return await _async_last(self._walk(self._exchange.submit(body, key)))

    async def get(self, job: Job | str) -> Job:
        """As Jobs.get."""
        return await _async_last(self._walk(self._exchange.get(_id(job))))

    def watch(self, job: Job | str) -> AsyncIterator[Job]:
        """As Jobs.watch."""
        return self._walk(self._exchange.watch(_id(job)))

    async def wait(self, job: Job | str) -> Job:
        """As Jobs.wait."""
        return await _async_last(self.watch(job))

    def results(self, job: Job | str, start: int = 0) -> AsyncIterator[JobResult]:
        """As Jobs.results."""
        return self._walk(self._exchange.results(_id(job), start))

    async def delete(self, job: Job | str) -> Job:
        """As Jobs.delete."""
        return await _async_last(self._walk(self._exchange.delete(_id(job))))


def _next(steps: Any, answer: Answer) -> Any:
    try:
        return steps.send(answer)
    except StopIteration:
        return None


def _request(http: httpx.Client | httpx.AsyncClient, send: Send, content: Any) -> httpx.Request:
    return http.build_request(send.method, send.path, json=send.json, content=content, headers=dict(send.headers))


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id


def _last(found: Iterator[Found]) -> Found:
    return deque(found, maxlen=1)[0]


async def _async_last(found: AsyncIterator[Found]) -> Found:
    return [one async for one in found][-1]


async def _async(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece

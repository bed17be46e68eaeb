"""The sync and the async client: they walk the same steps, each with its own way to send and to wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

import httpx

from bento.client.exchange import Exchange, Result, Wait, checked


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
        """address: the server's, with its base path if it has one. key: an API key.

        include: any of offsets, spans and summary. max_texts, max_words: the most texts of a request, and words of a
        text in it (a longer one is sent as a document). patience_s: the most seconds that are waited for a server that
        is busy or away, for one request. timeout_s: the most for one answer.
        """
        self._exchange = Exchange(checked(include), max_texts, max_words, patience_s)
        self._options: dict[str, Any] = {
            "base_url": address.rstrip("/"),
            "timeout": timeout_s,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
        }


class Client(_Base):
    """`with Client("http://localhost:3000") as client: client.score(texts)`. For one thread at a time."""

    def __enter__(self) -> Client:
        self._http = httpx.Client(**self._options)
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def score(self, texts: Iterable[str]) -> Iterator[Result]:
        """Results in the order of the texts, as they come. Raises Refused and Unreachable, which name the text."""
        steps, answer = self._exchange.steps(texts), None
        while (step := _next(steps, answer)) is not None:
            answer = None
            if isinstance(step, Result):
                yield step
            elif isinstance(step, Wait):
                time.sleep(step.seconds)
            else:
                try:
                    answer = self._http.post(step.path, json=step.body)
                except httpx.TransportError:
                    answer = None


class AsyncClient(_Base):
    """`async with AsyncClient("http://localhost:3000") as client: client.score(texts)`, to iterate by `async for`."""

    async def __aenter__(self) -> AsyncClient:
        self._http = httpx.AsyncClient(**self._options)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def score(self, texts: Iterable[str]) -> AsyncIterator[Result]:
        """Results in the order of the texts, as they come. Raises Refused and Unreachable, which name the text."""
        steps, answer = self._exchange.steps(texts), None
        while (step := _next(steps, answer)) is not None:
            answer = None
            if isinstance(step, Result):
                yield step
            elif isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                try:
                    answer = await self._http.post(step.path, json=step.body)
                except httpx.TransportError:
                    answer = None


def _next(steps: Any, answer: httpx.Response | None) -> Any:
    try:
        return steps.send(answer)
    except StopIteration:
        return None

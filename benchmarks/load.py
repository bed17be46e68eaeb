"""Requests over HTTP: texts that are not cached, open-loop and closed-loop load, and the outcome of each request."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import wire
from benchmarks.servers import Server
from bento.settings import ROOT

_EXAMPLES = json.loads((ROOT / "examples" / "test_120_sentences.json").read_text(encoding="utf-8"))
_VOCABULARY = sorted(set(re.findall(r"[a-z]+", " ".join(_EXAMPLES["sentences"]))))


@dataclass(frozen=True)
class Size:
    """A kind of request, and its share of all of them."""

    name: str
    texts: int
    words: int
    share: float = 1.0


SIZES = (
    Size("1 x 20", 1, 20, 0.6),
    Size("3 x 50", 3, 50, 0.3),
    Size("30 x 100", 30, 100, 0.08),
    Size("120 x 350", 120, 350, 0.02),
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request. sent: seconds since the load began. status: 0 when the connection failed."""

    size: Size
    sent: float
    seconds: float
    status: int
    retry_after: float | None = None

    @property
    def words(self) -> int:
        """Words that it asked for."""
        return self.size.texts * self.size.words


class Client:
    """Sends requests of made-up texts (seeded, each different from all others) to one server.

    It shares the cores with the server that it measures, so it speaks HTTP by benchmarks.wire: a client library takes
    as long for a small request as the server does.
    """

    def __init__(self, server: Server, seed: int = 0) -> None:
        self._server = server
        self._random = random.Random(seed)  # noqa: S311
        self._begin = time.perf_counter()
        self._port = int(server.base.rpartition(":")[2])
        self._idle: list[wire.Connection] = []

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._idle:
            connection.abort()

    def body(self, size: Size) -> bytes:
        """A request's body, of texts that no other has."""
        return json.dumps(self._server.body(self.texts(size))).encode()

    def texts(self, size: Size) -> list[str]:
        """Texts that no other request has."""
        return [" ".join(self._random.choices(_VOCABULARY, k=size.words)) for _ in range(size.texts)]

    async def send(self, size: Size, body: bytes | None = None) -> Outcome:
        """One request, now."""
        request = wire.request(self._server.path, body or self.body(size))
        start = time.perf_counter()
        try:
            answer = await self._exchange(request)
        except OSError:
            answer = wire.Answer(0, 0.0)
        end = time.perf_counter()
        return Outcome(size, start - self._begin, end - start, answer.status, _retry_after(answer.headers))

    async def _exchange(self, request: bytes, method: str = "POST") -> wire.Answer:
        """On a connection that is kept for the next request. Raises OSError when there is none to be had."""
        connection = None
        while self._idle and connection is None:
            connection = self._idle.pop()
            if not connection.usable:  # the server has closed it meanwhile
                connection = None
        if connection is None:
            connection = await wire.Connection(self._port).__aenter__()
        await connection.write(request)
        answer = await connection.read(method)
        if answer.status and answer.headers.get("connection") != "close":
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    def _mix(self, sizes: Sequence[Size]) -> Iterator[Size]:
        """Sizes by their shares, exactly so in every fifty: most words are in the few largest, and chance would decide
        how many of those a load has."""
        fifty = [size for size in sizes for _ in range(round(50 * size.share))]
        while True:
            yield from self._random.sample(fifty, len(fifty))

    async def open_loop(self, rate: float, seconds: float, sizes: Sequence[Size] = SIZES) -> list[Outcome]:
        """Poisson arrivals, `rate` a second, whatever becomes of those before; waits for the last answer."""
        at, mix = 0.0, self._mix(sizes)
        plan: list[tuple[float, Size, bytes]] = []  # made in advance: a large body takes long to make
        while (at := at + self._random.expovariate(rate)) < seconds:
            size = next(mix)
            plan.append((at, size, self.body(size)))
        gc.collect()
        gc.freeze()  # a garbage collection would delay every request that is being timed
        self._begin = start = time.perf_counter()
        tasks = []
        for at, size, body in plan:
            await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
            tasks.append(asyncio.create_task(self.send(size, body)))
        return list(await asyncio.gather(*tasks))

    async def closed_loop(self, callers: int, seconds: float, sizes: Sequence[Size] = SIZES) -> list[Outcome]:
        """So many callers, each sending its next request when the last is answered."""
        end, mix = time.perf_counter() + seconds, self._mix(sizes)

        async def caller() -> list[Outcome]:
            outcomes = []
            while time.perf_counter() < end:
                outcomes.append(await self.send(next(mix)))
            return outcomes

        return [outcome for each in await asyncio.gather(*(caller() for _ in range(callers))) for outcome in each]

    async def stage_seconds(self) -> dict[str, float]:
        """Seconds spent in each of wordtell's stages since it started."""
        pattern = r'^wordtell_stage_seconds_sum\{stage="(\w+)"\} (\S+)$'
        found = re.findall(pattern, await self._metrics(), re.MULTILINE)
        return {stage: float(seconds) for stage, seconds in found}

    async def lanes(self) -> float:
        """How many windows wordtell runs at a time."""
        found = re.search(r"^wordtell_lanes (\S+)$", await self._metrics(), re.MULTILINE)
        return float(found[1]) if found else 1.0

    async def _metrics(self) -> str:
        return (await self._exchange(wire.request("/metrics", b"", method="GET"), "GET")).body.decode()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; in milliseconds where the server says them, since Retry-After is in whole seconds."""
    if milliseconds := headers.get("retry-after-ms"):
        return float(milliseconds) / 1000
    seconds = headers.get("retry-after")
    return float(seconds) if seconds else None


def words_per_second(outcomes: Sequence[Outcome], start: float, seconds: float) -> float:
    """Goodput: words of requests answered with 200 within a stretch of time; one that began or ended outside it counts
    by the part of its time that lies inside."""
    total = 0.0
    for one in outcomes:
        if one.status == 200:
            inside = min(one.sent + one.seconds, start + seconds) - max(one.sent, start)
            total += one.words * max(0.0, inside) / one.seconds
    return total / seconds


def percentiles(seconds: Iterable[float]) -> dict[str, float | int]:
    """p50, p95 and p99 in milliseconds, and how many there were."""
    values = list(seconds)
    if not values:
        return {"count": 0}
    p50, p95, p99 = (round(float(value) * 1e3, 1) for value in np.percentile(values, [50, 95, 99]))
    return {"count": len(values), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}

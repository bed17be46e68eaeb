"""What do jobs cost? Their throughput beside that of requests, and the time of a short request beside a job.

Throughput: the same number of texts of 350 words, as requests of 120 from two callers and as a job, in turns; words a
second of both, and the processor's seconds of the server, which other programs do not change much. The job's time is
from its POST to its end by the database's clock, SQLite's writes among it.
Fairness: as benchmarks.fairness, with a job in the place of the long requests: the bound of the p95 of a request of
3 x 50 words is three times its p95 on the idle server, plus the time of one 350-word text. Writes
benchmarks/results/jobs.json.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks import fairness, harness, servers
from benchmarks.fairness import LONG, SHORT, WINDOW
from benchmarks.load import Client

_CALLERS = 2
_BODIES = 8
_LOOK_S = 0.5  # as often as bento.client.jobs looks at most


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="jobs, and as many rounds of requests")
    parser.add_argument("--texts", type=int, default=1920, help="of a round")
    parser.add_argument("--requests", type=int, default=60, help="short ones beside a job")
    parser.add_argument("--model", type=Path, default=servers.MODEL)
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin(options.cores)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"WORDTELL_JOBS__FOLDER": folder, "WORDTELL_API__CACHE_MB": "0"}
        with servers.start("wordtell", options.cores, options.model, settings) as server:
            found = asyncio.run(measure(server, options.rounds, options.texts, options.requests))
    question = "words a second as requests and as a job; milliseconds of a 3 x 50 request beside a job"
    harness.write("jobs", {"question": question, "cores": options.cores, **found}, options.results)


async def measure(server: servers.Server, rounds: int, texts: int, requests: int) -> dict[str, Any]:
    """Throughput, then fairness."""
    async with Client(server) as client, httpx.AsyncClient(base_url=server.base, timeout=600) as jobs:
        for size in (LONG, SHORT, WINDOW):  # it warms up
            await client.send(size)
        found, worked = [], []
        for _ in range(rounds):
            begin = cpu_seconds(server.pid)
            rates = {"requests": await as_requests(client, texts)}
            middle = cpu_seconds(server.pid)
            rates["job"] = await as_job(client, jobs, texts)
            worked.append({"requests": middle - begin, "job": cpu_seconds(server.pid) - middle})
            found.append(rates)
        cost = 1 - statistics.median(one["job"] / one["requests"] for one in found)
        cpu_cost = statistics.median(one["job"] / one["requests"] for one in worked) - 1
        throughput = {"texts": texts, "words_per_second": found, "cost": round(cost, 4), "bound": 0.03}
        throughput |= {"cpu_cost": round(cpu_cost, 4)}
        return {"throughput": throughput, "fairness": await beside(client, jobs, texts, requests)}


def cpu_seconds(pid: int) -> float:
    """The processor's, of a server and its worker so far."""
    parent = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (parent, *parent.children(recursive=True)))


async def as_requests(client: Client, texts: int) -> float:
    """Words a second."""
    bodies = [client.body(LONG) for _ in range(texts // LONG.texts)]
    waiting = iter(bodies)

    async def caller() -> None:
        for body in waiting:
            outcome = await client.send(LONG, body)
            if outcome.status != 200:
                raise RuntimeError(f"a request was answered with {outcome.status}")

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    return round(texts * LONG.words / (time.perf_counter() - started), 1)


async def as_job(client: Client, jobs: httpx.AsyncClient, texts: int) -> float:
    """Words a second."""
    body = lines(client, texts)
    started = time.time()
    ended = await done(jobs, await post(jobs, body))
    return round(texts * LONG.words / (ended - started), 1)


async def beside(client: Client, jobs: httpx.AsyncClient, texts: int, requests: int) -> dict[str, Any]:
    """Short requests while there is always a job that runs, and one that waits."""
    # Made before: this process's event loop times the short requests. The server's cache is off: bodies are repeated.
    bodies = itertools.cycle([lines(client, texts) for _ in range(_BODIES)])

    async def keep_busy(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await done(jobs, await post(jobs, next(bodies)), stop)

    return (await fairness.beside(client, requests, keep_busy))[0]


def lines(client: Client, texts: int) -> bytes:
    """A body of texts that no other has."""
    return b"".join(
        json.dumps({"id": index, "text": text}).encode() + b"\n"
        for index, text in enumerate(text for _ in range(texts // LONG.texts) for text in client.texts(LONG))
    )


async def post(jobs: httpx.AsyncClient, body: bytes) -> str:
    """The job's path."""
    answer = await jobs.post("/api/v1/jobs", content=body)
    return answer.raise_for_status().headers["Location"]


async def done(jobs: httpx.AsyncClient, job: str, stop: asyncio.Event | None = None) -> float:
    """Wait for a job, or until told to stop; then delete it. Returns when it ended, in seconds since 1970."""
    ended = 0.0
    while not (stop is not None and stop.is_set()):
        found = (await jobs.get(job)).raise_for_status().json()
        if found["state"] == "failed":
            raise RuntimeError("a job failed")
        if found["state"] == "done":
            ended = found["ended"]
            break
        await asyncio.sleep(_LOOK_S)
    await jobs.delete(job)
    return ended


if __name__ == "__main__":
    main()

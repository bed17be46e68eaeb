"""A client's job outlives the deaths of its server, whatever the client is doing when it dies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bento.client import AsyncClient, Client, Job, JobResult
from tests.http.server import Server
from tests.jobs import work

COUNT = 1500


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Server]:
    with work.server(tmp_path / "log", {"folder": str(tmp_path / "jobs")}, {"WORDTELL_JOBS__LEASE_S": "2"}) as server:
        yield server


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def restart(server: Server) -> None:
    server.kill()
    server.__enter__()


def test_a_server_that_is_killed_while_a_job_is_sent_waited_for_and_read(one: Server) -> None:
    """Each in the middle: the source of the texts, the wait and the reader say when."""
    found = work.texts(COUNT, "client")

    def source() -> Iterator[str]:
        yield from found
        killed.start()  # all is read, and sent in the next moment

    killed = threading.Timer(0.05, restart, [one])
    with Client(address(one), patience_s=120) as client, ThreadPoolExecutor(1) as pool:
        job = client.jobs.submit(source())
        killed.join()
        again = client.jobs.submit(iter(found))
        assert again.id == job.id
        states: list[Job] = []
        for state in client.jobs.watch(job):
            if not states:
                pool.submit(restart, one).result()
            states.append(state)
        assert (states[-1].state, states[-1].texts_failed) == ("done", 0)
        results: list[JobResult] = []
        for result in client.jobs.results(job):
            if len(results) in (1, 700):
                restart(one)
            results.append(result)
        assert [result.index for result in results] == [result.id for result in results] == list(range(COUNT))
        expected = work.right(one.client, found[::100])
        assert [result.probabilities for result in results[::100]] == [line["probabilities"] for line in expected]
        assert [job["id"] for job in one.client.get("/api/v1/jobs").json()["jobs"]] == [job.id]


def test_results_are_read_as_they_come_while_the_server_restarts(one: Server) -> None:
    found = work.texts(COUNT, "async")

    async def read() -> list[JobResult]:
        results: list[JobResult] = []
        async with AsyncClient(address(one), patience_s=120) as client:
            job = await client.jobs.submit(found)
            async for result in client.jobs.results(job):
                if len(results) == 100:
                    await asyncio.to_thread(restart, one)
                results.append(result)
        return results

    results = asyncio.run(read())
    assert [result.index for result in results] == list(range(COUNT))
    expected = work.right(one.client, found[::100])
    assert [result.probabilities for result in results[::100]] == [line["probabilities"] for line in expected]

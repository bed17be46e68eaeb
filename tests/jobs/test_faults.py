"""Promises of docs/jobs.md, of real servers that are killed, stopped and starved."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bento.artifact import ModelFolder
from tests.http.server import free_port
from tests.jobs import work
from tests.jobs.postgres import Postgres

COUNT = 60


@pytest.fixture
def where_sqlite(tmp_path: Path) -> dict[str, str]:
    return {"folder": str(tmp_path / "jobs")}


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_an_accepted_job_is_not_lost(tmp_path: Path, where: dict[str, str], kills: int) -> None:
    """kill -9 of the server at random moments: while it starts, receives, scores, writes."""
    chance = random.Random(kills)  # noqa: S311 - no secret
    # More attempts than kills: five servers that end over one chunk would be taken for the chunk's fault.
    settings = {"WORDTELL_JOBS__LEASE_S": "2", "WORDTELL_JOBS__MAX_ATTEMPTS": "1000"}
    one = work.server(tmp_path / "log", where, settings)
    found = work.texts(COUNT, "killed")
    with one:
        expected = work.right(one.client, found)
        long = work.texts(1500, "long")
        accepted = {"long": work.submit(one.client, long, "long")}
        for number in range(kills):
            killer = threading.Timer(chance.uniform(0, 1.5), one.kill)
            killer.start()
            key = f"key-{number}"
            while killer.is_alive() and accepted.get(key) is None:
                accepted[key] = work.submit(one.client, found, key)
            killer.join()
            one.__enter__()
        for key, job in accepted.items():
            again = work.submit(one.client, long if key == "long" else found, key)
            assert again
            assert job in (None, again), "a job was accepted, and forgotten"
            accepted[key] = again
        jobs = [str(job) for job in accepted.values()]
        states = work.wait(one.client, jobs, seconds=60 + 3 * kills)
        assert {job["state"] for job in states} == {"done"}, states
        assert len(one.client.get("/api/v1/jobs").json()["jobs"]) == len(jobs)  # none twice
        for key, job in accepted.items():
            if key != "long":
                assert work.results(one.client, str(job)) == expected
        of_long = work.results(one.client, str(accepted["long"]))
        assert [line["id"] for line in of_long] == list(range(1500))
        sample = long[::300]
        assert [line["probabilities"] for line in of_long[::300]] == [
            line["probabilities"] for line in work.right(one.client, sample)
        ]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_job_outlives_the_death_of_its_database(tmp_path: Path, postgres: Postgres, kills: int) -> None:
    chance = random.Random(kills)  # noqa: S311 - no secret
    url = postgres.create(f"killed{kills}")
    found = work.texts(1500, "database")
    with work.server(tmp_path / "log", {"database_url": url}, {"WORDTELL_JOBS__LEASE_S": "2"}) as one:
        jobs = {}
        for number in range(kills):
            jobs[f"k{number}"] = work.submit(one.client, found[: 700 if number else None], f"k{number}")
            time.sleep(chance.uniform(0, 1.0))
            postgres.kill()
            assert one.client.post("/api/v1/predict/sentences", json={"sentences": ["a b"]}).status_code == 200
            postgres.start()
        until_ready(one.client)
        for key, before in jobs.items():
            again = work.submit(one.client, found[: None if key == "k0" else 700], key)
            assert again
            assert before in (None, again)
            jobs[key] = again
        ids = [str(job) for job in jobs.values()]
        assert {job["state"] for job in work.wait(one.client, ids, 60 + 10 * kills)} == {"done"}
        lines = [work.results(one.client, job) for job in ids]
        assert [line["id"] for line in lines[0]] == list(range(1500))
        assert all(other == lines[0][:700] for other in lines[1:])
        assert lines[0][:100] == work.right(one.client, found[:100])


def test_two_replicas_share_the_work_and_a_silent_one_counts_nothing_twice(tmp_path: Path, postgres: Postgres) -> None:
    """One of them is stopped (SIGSTOP) with chunks in its hands for longer than its lease, and goes on then."""
    where = {"database_url": postgres.create("replicas")}
    settings = {"WORDTELL_JOBS__LEASE_S": "1"}
    found = work.texts(6000, "shared")  # enough for one that is never stopped to leave some
    with (
        work.server(tmp_path / "log1", where, settings) as one,
        work.server(tmp_path / "log2", where, settings) as two,
    ):
        job = work.submit(one.client, found, "shared")
        assert job
        for _ in range(2):
            time.sleep(0.3)
            two.signal(signal.SIGSTOP)
            time.sleep(1.5)
            two.signal(signal.SIGCONT)
        (state,) = work.wait(one.client, [job])
        assert (state["state"], state["texts_done"], state["texts_failed"]) == ("done", 6000, 0)
        both = [work.results(server.client, job) for server in (one, two)]
        assert both[0] == both[1]
        assert [line["id"] for line in both[0]] == list(range(6000))
        assert both[0][5900:] == [line | {"id": 5900 + line["id"]} for line in work.right(one.client, found[5900:])]
        done = [counted(server.client, "done") for server in (one, two)]
        assert min(done) > 0, done


def test_a_database_that_is_away_stops_jobs_and_nothing_else(
    tmp_path: Path, postgres: Postgres, fake_folder: ModelFolder
) -> None:
    """Away: its processes are stopped, so that connections stay open and nobody answers."""
    where = {"database_url": postgres.create("away")}
    with work.server(tmp_path / "log", where, fake(fake_folder)) as one:
        until_ready(one.client)
        job = work.submit(one.client, ["a b"], "k")
        assert job
        work.wait(one.client, [job])
        postgres.signal(signal.SIGSTOP)
        try:
            answer = one.client.get(f"/api/v1/jobs/{job}")
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "jobs_unavailable"
            assert answer.headers["Retry-After"] == "10"
            started = time.monotonic()
            assert one.client.post("/api/v1/predict/sentences", json={"sentences": ["c d"]}).status_code == 200
            assert one.client.get("/readyz").status_code == 200
            assert time.monotonic() - started < 2
            health = one.client.get("/api/v1/health")
            assert (health.status_code, health.json()["jobs"]) == (200, "unavailable")
            assert "wordtell_jobs_up 0.0" in one.client.get("/metrics").text
        finally:
            postgres.signal(signal.SIGCONT)
        until_ready(one.client)
        assert work.results(one.client, job) == [
            {"id": 0, "probabilities": work.right(one.client, ["a b"])[0]["probabilities"]}
        ]


def test_a_database_that_is_not_there_at_the_start_is_waited_for(tmp_path: Path, fake_folder: ModelFolder) -> None:
    where = {"database_url": f"postgresql://wordtell:secretword@127.0.0.1:{free_port()}/none"}
    with work.server(tmp_path / "log", where, fake(fake_folder)) as one:
        assert one.client.get("/api/v1/health").json()["jobs"] == "unavailable"
        answer = one.client.post("/api/v1/jobs", content='{"id": 1, "text": "a"}')
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert work.right(one.client, ["a b"])
    assert "jobs are unavailable" in one.log.read_text()
    assert "secretword" not in one.log.read_text() + answer.text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_jobs_and_nothing_else(tmp_path: Path, small_disk: Path, fake_folder: ModelFolder) -> None:
    found = work.texts(20_000, "x" * 1000)
    settings = fake(fake_folder) | {"WORDTELL_JOBS__MIN_FREE_MB": "8"}
    with work.server(tmp_path / "log", {"folder": str(small_disk)}, settings) as one:
        until_ready(one.client)
        small = work.submit(one.client, found[:50], "small")
        assert small
        answer = one.client.post("/api/v1/jobs", content=work.body(found))
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "the disk of the jobs' database is full: try again in 10 s"
        assert work.right(one.client, ["a b"])
        (state,) = work.wait(one.client, [small])
        assert state["state"] == "done"
        assert work.results(one.client, small) == work.right(one.client, found[:50])
        again = work.submit(one.client, found[:20], "again")  # what came of the large one was deleted
        assert again
        work.wait(one.client, [again])
        assert [job["id"] for job in one.client.get("/api/v1/jobs").json()["jobs"]] == [again, small]


def test_results_that_find_no_room_are_written_when_there_is_some(
    tmp_path: Path, small_disk: Path, fake_folder: ModelFolder
) -> None:
    settings = fake(fake_folder) | {"WORDTELL_JOBS__MIN_FREE_MB": "0"}
    with work.server(tmp_path / "log", {"folder": str(small_disk)}, settings) as one:
        until_ready(one.client)
        found = [" ".join("abcdefgh") + f" {index}" for index in range(3000)]  # results are three times as long
        filler = small_disk / "filler"
        job = None
        while job is None:
            job = work.submit(one.client, found, "k")
        with filler.open("wb", buffering=0) as full:
            size = 1 << 20
            while size:
                try:
                    full.write(b"x" * size)
                except OSError:
                    size //= 2
        time.sleep(1)
        assert work.right(one.client, ["a b"])
        filler.unlink()
        (state,) = work.wait(one.client, [job])
        assert (state["state"], state["texts_failed"]) == ("done", 0)
        assert [line["id"] for line in work.results(one.client, job)] == list(range(3000))


def test_a_chunk_that_ends_servers_is_given_up_with_its_reason(
    tmp_path: Path, where_sqlite: dict[str, str], fake_folder: ModelFolder
) -> None:
    settings = fake(fake_folder) | {"WORDTELL_JOBS__MAX_ATTEMPTS": "2", "WORDTELL_JOBS__LEASE_S": "1"}
    one = work.server(tmp_path / "log", where_sqlite, settings)
    with one:
        until_ready(one.client)
        job = work.submit(one.client, ["a b", " ", "c"], "k")
        assert job
        work.wait(one.client, [job])
        unscored(Path(where_sqlite["folder"]) / "jobs.db", attempts=2)
        one.kill()
        one.__enter__()
        (state,) = work.wait(one.client, [job])
        assert state["state"] == "failed"
        assert state["reason"] == (
            "chunk 0: 2 servers ended while they scored it (jobs.max_attempts): send its texts again, in smaller jobs"
        )
        lines = work.results(one.client, job)
        assert [line["error"]["code"] for line in lines] == ["internal", "invalid_request", "internal"]
        assert state["texts_done"] == state["texts_failed"] == 3


def unscored(path: Path, attempts: int) -> None:
    """The only chunk of the database as it is after so many servers have ended over it."""
    payload = b'{"id":0,"text":"a b"}\n{"id":1,"error":{"code":"invalid_request","message":"m"}}\n{"id":2,"text":"c"}'
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE chunks SET open = 1, attempts = ?, results = NULL, payload = ?, lease_token = 'x', lease_until = 1",
            (attempts, payload),
        )
        connection.execute(
            "UPDATE jobs SET state = 'running', texts_done = 0, texts_failed = 0, chunks_done = 0, ended = NULL"
        )
    connection.close()


def fake(folder: ModelFolder) -> dict[str, str]:
    return {"WORDTELL_MODEL__CHECKPOINT_DIR": str(folder.path), "WORDTELL_MODEL__WINDOW_OVERLAP": "16"}


def until_ready(client: httpx.Client) -> None:
    give_up = time.monotonic() + 30
    while client.get("/api/v1/health").json()["jobs"] != "ready":
        assert time.monotonic() < give_up
        time.sleep(0.1)


def counted(client: httpx.Client, end: str) -> float:
    wanted = f'wordtell_jobs_chunks_total{{end="{end}"}} '
    return sum(
        float(line[len(wanted) :]) for line in client.get("/metrics").text.splitlines() if line.startswith(wanted)
    )

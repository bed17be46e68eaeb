"""`client.jobs` against a real server. What happens when the server ends on the way is in tests/jobs."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bento.client import AsyncClient, Client, Refused, Unreachable
from tests.http.server import Server, free_port
from tests.http.test_client import address


def test_texts_become_a_job_whose_results_are_those_of_requests(server: Server) -> None:
    texts = [f"word {'the ' * (index % 7)}{index}" for index in range(1200)]
    with Client(address(server)) as client:
        job = client.jobs.submit(iter(texts))
        assert (job.texts, job.ended) == (1200, None)
        results = list(client.jobs.results(job))
        assert [(one.index, one.id) for one in results] == [(index, index) for index in range(1200)]
        assert [one.probabilities for one in results] == [one.probabilities for one in client.score(texts)]
        assert list(client.jobs.results(job.id, start=1100)) == results[1100:]
        assert client.jobs.wait(job).state == "done"
        assert [one.state for one in client.jobs.watch(job)] == ["done"]
        assert client.jobs.get(job).model_versions == [next(client.score(["a"])).model_version]
        assert client.jobs.delete(job).id == job.id
        with pytest.raises(Refused, match=rf"job {job.id}: not_found \(404\)"):
            client.jobs.wait(job)


def test_the_async_client_does_the_same(server: Server) -> None:
    pairs: list[tuple[str | int, str]] = [
        ("a\u2028b", "two words"),
        (7, "half of a pair \ud800"),
        ("c", " "),
        ("d", ""),
    ]

    async def ask() -> list[tuple[str | int, int, str]]:
        async with AsyncClient(address(server)) as client:
            job = await client.jobs.submit(pairs)
            assert (await client.jobs.wait(job)).texts_failed == 3
            assert (await client.jobs.get(job.id)).state == "done"
            found = [one async for one in client.jobs.results(job)]
            assert [one.state async for one in client.jobs.watch(job)] == ["done"]
            await client.jobs.delete(job)
            return [(one.id, len(one.probabilities or []), one.error.code if one.error else "") for one in found]

    assert asyncio.run(ask()) == [
        ("a\u2028b", 2, ""),
        (7, 0, "invalid_request"),
        ("c", 0, "invalid_request"),
        ("d", 0, "invalid_request"),
    ]


@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
def test_a_file_is_sent_as_it_is_and_again_is_the_same_job(server: Server, tmp_path: Path, name: str) -> None:
    body = "".join(json.dumps({"id": f"{name}-{index}", "text": f"text {index}"}) + "\n" for index in range(100))
    path = tmp_path / name
    path.write_bytes(gzip.compress(body.encode()) if path.suffix == ".gz" else body.encode())
    with Client(address(server)) as client:
        job = client.jobs.submit(path)
        assert [one.id for one in client.jobs.results(job)] == [f"{name}-{index}" for index in range(100)]
        assert client.jobs.submit(str(path)).id == job.id
        assert client.jobs.submit(path, key=f"another {name}".replace(" ", "-")).id != job.id


def test_a_key_of_another_body_is_refused(server: Server) -> None:
    with Client(address(server)) as client:
        client.jobs.submit(["a"], key="of-a-client")
        with pytest.raises(Refused, match="job: idempotency_key_reused"):
            client.jobs.submit(["b"], key="of-a-client")


def test_what_the_server_refuses_is_one_line(server: Server, embedded: Server, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"id": 1, "text": "a"}\n{"id": 2}\n')
    with Client(address(server)) as client:
        with pytest.raises(Refused, match=r"job: invalid_request \(422\): line 2 has no text"):
            client.jobs.submit(broken)
        with pytest.raises(Refused, match="the body has no line"):
            client.jobs.submit([])
        with pytest.raises(FileNotFoundError):
            client.jobs.submit(tmp_path / "none.jsonl")
    with Client(address(embedded)) as client, pytest.raises(Refused, match="this server keeps no jobs"):
        client.jobs.submit(["a"])


def test_texts_whose_source_fails_make_no_job(server: Server) -> None:
    def texts() -> Iterator[str]:
        yield "a"
        raise RuntimeError("the disk is gone")

    with Client(address(server)) as client:
        before = server.client.get("/api/v1/jobs").json()
        with pytest.raises(RuntimeError, match="the disk is gone"):
            client.jobs.submit(texts())
        assert server.client.get("/api/v1/jobs").json() == before


def test_patience_has_an_end() -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", patience_s=0.8) as client,
        pytest.raises(Unreachable, match=r"job: no answer within 0.8 s of waiting \(no connection\)"),
    ):
        client.jobs.submit(["a text"])

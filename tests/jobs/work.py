"""Jobs whose right results are known, and a client that does not give up."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.http.server import Server

PYTHON = Path(sys.executable)
MANY_JOBS = {"WORDTELL_JOBS__MAX_JOBS": "10000", "WORDTELL_API__CACHE_MB": "0"}


def server(log: Path, where: Mapping[str, str], settings: Mapping[str, str]) -> Server:
    """One in the environment that has psycopg."""
    ours = {f"WORDTELL_JOBS__{name.upper()}": value for name, value in where.items()}
    return Server(log, {**MANY_JOBS, **ours, **settings}, python=PYTHON)


def texts(count: int, seed: str) -> list[str]:
    return [f"{seed} {index}: " + "a text of some words that are to be scored, " * 5 for index in range(count)]


def body(found: Sequence[str]) -> str:
    return "".join(json.dumps({"id": index, "text": text}) + "\n" for index, text in enumerate(found))


def right(client: httpx.Client, found: Sequence[str]) -> list[dict[str, Any]]:
    """The result lines that a job of these texts must have, asked without a job."""
    scores: list[list[float]] = []
    for begin in range(0, len(found), 100):
        answer = client.post("/api/v1/predict/sentences", json={"sentences": found[begin : begin + 100]})
        scores += answer.json()["probabilities"]
    return [{"id": index, "probabilities": words} for index, words in enumerate(scores)]


def results(client: httpx.Client, job: str, start: int = 0) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/jobs/{job}/results", params={"start": start})
    return [json.loads(line) for line in answer.raise_for_status().text.splitlines()]


def submit(client: httpx.Client, found: Sequence[str], key: str) -> str | None:
    """The id of the job, or None where nothing was promised."""
    try:
        answer = client.post("/api/v1/jobs", content=body(found), headers={"Idempotency-Key": key}, timeout=20)
    except httpx.TransportError:
        return None
    if answer.status_code == 503:
        return None
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def wait(client: httpx.Client, jobs: Sequence[str], seconds: float = 120) -> list[dict[str, Any]]:
    """Until each is done or failed."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            answers = [client.get(f"/api/v1/jobs/{job}") for job in jobs]
            found = [answer.raise_for_status().json() for answer in answers if answer.status_code != 503]
            if len(found) == len(jobs) and all(job["state"] in ("done", "failed") for job in found):
                return found
        except httpx.TransportError:
            pass
        assert time.monotonic() < give_up, found
        time.sleep(0.2)

"""Scores one text and checks the answer against the contract (docs/api.md)."""

from __future__ import annotations

import http.client
import json
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from deploy.errors import SmokeFailed

PATH = "/api/v1/predict/sentences"
TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind."


@dataclass(frozen=True)
class Answer:
    """A good answer. `seconds` is the whole exchange as the client sees it; `processing_ms` the server's own share."""

    model_version: str
    words: int
    mean: float
    seconds: float
    processing_ms: float
    engine: str
    precision: str

    def __str__(self) -> str:
        return (
            f"answered in {self.seconds * 1000:.0f} ms ({self.processing_ms:.0f} ms of it scoring): {self.words} words,"
            f" mean probability {self.mean:.2f}, {self.model_version} ({self.engine}, {self.precision})"
        )


def score(url: str, timeout_s: float, *, sock: socket.socket | None = None, key: str | None = None) -> Answer:
    """POST the text to the address of a service, over `sock` if that is given, and check the answer.

    Raises SmokeFailed.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SmokeFailed(f"{url} is not an http or https address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout_s)
    if sock:
        sock.settimeout(timeout_s)
        connection.sock = sock
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    start = time.perf_counter()
    try:
        connection.request("POST", parts.path.rstrip("/") + PATH, json.dumps({"sentences": [TEXT]}), headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise SmokeFailed(f"no answer: {error or type(error).__name__}") from None
    finally:
        connection.close()
    return check(response.status, body, TEXT, time.perf_counter() - start)


def check(status: int, body: bytes, text: str, seconds: float) -> Answer:
    """Whether an answer is what the contract says.                                                        (pure)"""
    try:
        said: Any = json.loads(body)
    except ValueError:
        raise SmokeFailed(f"HTTP {status} with a body that is not JSON: is this wordtell's address?") from None
    if status != 200:
        error = said.get("error") if isinstance(said, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        remedy = "; give --api-key" if status == 401 else ""
        raise SmokeFailed(f"HTTP {status}: {message or 'no message'}{remedy}")
    try:
        (probabilities,), metadata = said["probabilities"], said["metadata"]
        answer = Answer(
            str(metadata["model_version"]), len(probabilities), sum(probabilities) / max(len(probabilities), 1),
            seconds, float(metadata["processing_time_ms"]), metadata["engine"], metadata["precision"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise SmokeFailed(f"the answer has not the contract's shape ({type(error).__name__}: {error})") from None
    if answer.words != len(text.split()):
        raise SmokeFailed(f"{answer.words} probabilities for a text of {len(text.split())} words")
    if not all(0 <= value <= 1 for value in probabilities):
        raise SmokeFailed("a probability is outside [0, 1]")
    if not answer.model_version:
        raise SmokeFailed("the answer names no model version")
    return answer

"""Scores one text and checks the answer against the contract (docs/api.md)."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from deploy.errors import SmokeFailed

PATH = "/api/v1/predict/sentences"
TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind."


def score(url: str, timeout_s: float, *, sock: socket.socket | None = None, key: str | None = None) -> str:
    """POST the text to the address of a service, over `sock` if that is given; one line about the good answer.

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


def check(status: int, body: bytes, text: str, seconds: float) -> str:
    """One line about an answer that is what the contract says; `seconds` is the whole exchange as the client sees it.

    Raises SmokeFailed.                                                                                       (pure)
    """
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
        (scores,), metadata = said["probabilities"], said["metadata"]
        good = all(0 <= score <= 1 for score in scores)
        version, scoring_ms = str(metadata["model_version"]), float(metadata["processing_time_ms"])
        where = f"{version} ({metadata['engine']}, {metadata['precision']})"
    except (KeyError, TypeError, ValueError) as error:
        raise SmokeFailed(f"the answer has not the contract's shape ({type(error).__name__}: {error})") from None
    words = len(text.split())
    if len(scores) != words:
        raise SmokeFailed(f"{len(scores)} probabilities for a text of {words} words")
    if not good:
        raise SmokeFailed("a probability is outside [0, 1]")
    if not version:
        raise SmokeFailed("the answer names no model version")
    took = f"answered in {seconds * 1000:.0f} ms ({scoring_ms:.0f} ms of it scoring)"
    return f"{took}: {words} words, mean probability {sum(scores) / words:.2f}, {where}"

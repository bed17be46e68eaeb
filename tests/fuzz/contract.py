"""What every answer must be, whatever was asked: docs/api.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import unquote

import numpy as np

from benchmarks.bodies import MODEL
from benchmarks.wire import Answer
from bento import errors
from bento.api import statuses
from tests.fuzz.case import Case
from tests.fuzz.message import Message

_ID = re.compile(rb"[!-~]{1,128}")
_UNCHANGED = {"node", "bytes_", "hostile", "encoding", "chunked"}  # the path is still the one that is known


def _kinds(kind: type[errors.WordtellError]) -> set[type[errors.WordtellError]]:
    return {kind}.union(*(_kinds(child) for child in kind.__subclasses__()))


# Status -> codes. tests/test_docs.py sees to it that docs/api.md lists the same.
ERRORS: dict[int, set[str]] = {}
for _kind in _kinds(errors.WordtellError):
    ERRORS.setdefault(statuses.status(_kind), set()).add(_kind.code)
# 500 is never right; the model is loaded before the first request is sent, and so is 503 not.
ALLOWED = {200, *ERRORS} - {500, 503}


def faults(case: Case, answer: Answer, scores: Mapping[str, list[float]]) -> list[str]:
    """What is wrong with an answer; `scores` are those of the known texts."""
    message = case.message
    whole = case.end in ("wait", "eof")
    found = []
    if answer.status not in ALLOWED:
        found.append(f"status {answer.status}, which the contract does not have: {answer.body[:200]!r}")
    found += _id_faults(message, answer)
    if answer.status >= 400 and message.method != "HEAD":
        found += _error_faults(message, answer, whole)
    if whole and message.texts is not None:
        found += _score_faults(message, answer, scores)
    elif whole and not message.about[1:] and answer.status != 200:
        found.append(f"a good request is answered {answer.status}: {answer.body[:200]!r}")
    return found


def _id_faults(message: Message, answer: Answer) -> list[str]:
    got = answer.headers.get("x-request-id", "")
    if not _ID.fullmatch(got.encode("latin-1")):
        return [f"X-Request-Id is {got!r} on a {answer.status}"]
    return []


def _error_faults(message: Message, answer: Answer, whole: bool) -> list[str]:
    if answer.headers.get("content-type") != "application/json":
        return [f"an error of type {answer.headers.get('content-type')}: {answer.status} {answer.body[:200]!r}"]
    try:
        error = json.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError):
        return [f"an error of another shape: {answer.status} {answer.body[:200]!r}"]
    path = unquote(message.path)
    sure = whole and set(message.about[1:]) <= _UNCHANGED
    protocol = path.startswith(("/v1/", "/v2/")) or path in ("/v1", "/v2")
    if isinstance(error, str):
        return ["an error of the protocols' shape on another path"] if sure and not protocol else []
    if sure and protocol:
        return [f"an error below /v1 or /v2 that is no text: {answer.body[:200]!r}"]
    if not isinstance(error, dict) or set(error) != {"code", "message", "field"}:
        return [f"an error of another shape: {answer.status} {answer.body[:200]!r}"]
    if error["code"] not in ERRORS.get(answer.status, ()):
        return [f"status {answer.status} with the code {error['code']!r}"]
    if not error["message"] or not isinstance(error["field"], (str, type(None))):
        return [f"an error without words, or with a field of another type: {answer.body[:200]!r}"]
    return []


def _score_faults(message: Message, answer: Answer, scores: Mapping[str, list[float]]) -> list[str]:
    if answer.status in (429, 504):  # the contract allows both under load
        return []
    if answer.status != 200:
        return [f"a good request is answered {answer.status}: {answer.body[:200]!r}"]
    if b"event: error" in answer.body:  # too late, once the events had begun
        return []
    got = texts_scores(message, answer)
    if got != [scores[text] for text in message.texts or ()]:
        return [f"scores are not those from before: {str(got)[:300]}"]
    return []


def texts_scores(message: Message, answer: Answer) -> list[list[float]]:
    """The scores of each text in an answer, by whichever protocol it was asked. Raises KeyError, ValueError."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        return [json.loads(answer.body.rstrip().rpartition(b"\n")[2].removeprefix(b"data: "))["probabilities"]]
    body = answer.json()
    if "offsets" in body:
        return [body["probabilities"]]
    if "probabilities" in body:
        return list(body["probabilities"])
    if "predictions" in body:
        return list(body["predictions"])
    assert body["model_name"] == MODEL
    flat, counts = (output["data"] for output in body["outputs"])
    return [part.tolist() for part in np.split(np.array(flat), np.cumsum(counts)[:-1])]

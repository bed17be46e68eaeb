"""The steps that make, watch and read jobs, through lost connections and restarts of the server."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel

from bento.client.asking import Answer, Piece, Send, Steps, Subject, Wait, asked, granted
from bento.jobs.told import Job

_PATH, _MEDIA_TYPE = "/api/v1/jobs", "application/x-ndjson"
_PIECE = 256 * 1024
# Seconds between two requests for the state of a job: half of its estimated rest, within these bounds.
_SOONEST_S, _LATEST_S = 0.5, 15.0

Texts = Iterable[str | tuple[str | int, str]]
Source = str | os.PathLike[str] | Texts
_Answering = Generator[Send | Wait | Piece | Any, Answer, Job]


class JobError(BaseModel):
    """Why a text of a job has no scores."""

    code: str
    message: str


class JobResult(BaseModel):
    """The result for one text: the probability of each word, or an error. index: the text's place in the job."""

    index: int
    id: str | int
    probabilities: list[float] | None = None
    error: JobError | None = None


@dataclass(frozen=True)
class Body:
    """A request body that can be sent more than once. digest: its SHA-256."""

    file: BinaryIO
    digest: str
    compressed: bool

    def pieces(self) -> Iterator[bytes]:
        """The body from its beginning, in pieces of at most 256 KiB."""
        self.file.seek(0)
        while piece := self.file.read(_PIECE):
            yield piece


def opened(source: Source) -> Body:
    """The body of a JSON Lines file (also .gz), or of texts, by way of a temporary file. Raises OSError."""
    if isinstance(source, (str, os.PathLike)):
        file: Any = Path(source).open("rb")  # noqa: SIM115 - whoever has the body closes it
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            for index, one in enumerate(source):
                name, text = (index, one) if isinstance(one, str) else one
                file.write(_line({"id": name, "text": text}))
        except BaseException:
            file.close()
            raise
    body = Body(file, "", isinstance(source, (str, os.PathLike)) and Path(source).suffix == ".gz")
    digest = hashlib.sha256()
    for piece in body.pieces():
        digest.update(piece)
    return Body(file, digest.hexdigest(), body.compressed)


def _line(value: dict[str, Any]) -> bytes:
    try:
        return f"{json.dumps(value, ensure_ascii=False)}\n".encode()
    except UnicodeEncodeError:  # half of a surrogate pair: only this text's result will be an error
        return f"{json.dumps(value)}\n".encode()


@dataclass(frozen=True)
class Exchange:
    """Requests about jobs. patience_s: the most seconds of waits for one answer, over all its attempts."""

    patience_s: float

    def submit(self, body: Body, key: str | None) -> Steps[Job]:
        """Make a job. Its Idempotency-Key makes it one job even if the body is sent several times."""
        headers = {"Content-Type": _MEDIA_TYPE, "Idempotency-Key": key or f"sha256-{body.digest}"}
        if body.compressed:
            headers["Content-Encoding"] = "gzip"
        send = Send("POST", _PATH, pieces=body.pieces, headers=headers)
        yield (yield from self._answer(send, Subject("job")))

    def get(self, job: str) -> Steps[Job]:
        """The state of a job."""
        yield (yield from self._now(job))

    def delete(self, job: str) -> Steps[Job]:
        """Cancel a job if it has not ended, and delete it."""
        yield (yield from self._answer(Send("DELETE", f"{_PATH}/{job}"), Subject(f"job {job}")))

    def watch(self, job: str) -> Steps[Job]:
        """The state of a job, again and again until it has ended."""
        while True:
            now = yield from self._now(job)
            yield now
            if now.ended is not None:
                return
            yield Wait(_pause(now))

    def results(self, job: str, start: int) -> Steps[JobResult]:
        """The results from place `start` on. Waits for missing ones, and goes on after the last one if a read fails."""
        subject = Subject(f"job {job}")
        while True:
            now = yield from self._now(job)
            if start >= now.texts:
                return
            send = Send("GET", f"{_PATH}/{job}/results?start={start}", opened=True)
            granted((yield from asked(send, subject, self.patience_s)), subject)
            before, rest = start, b""
            while isinstance(piece := (yield Piece()), bytes):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield JobResult(index=start, **json.loads(line))
                    start += 1
            if start == before:
                yield Wait(_pause(now))

    def _now(self, job: str) -> _Answering:
        return self._answer(Send("GET", f"{_PATH}/{job}"), Subject(f"job {job}"))

    def _answer(self, send: Send, subject: Subject) -> _Answering:
        answer = yield from asked(send, subject, self.patience_s)
        return Job.model_validate(granted(answer, subject).json())


def _pause(job: Job) -> float:
    return min(max((job.seconds_left or 0.0) / 2, _SOONEST_S), _LATEST_S)

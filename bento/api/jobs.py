"""/api/v1/jobs: up to a million texts, scored in the background."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from bento.api import lines
from bento.api.body import pieces_of
from bento.api.errors import documented
from bento.api.lifecycle import Lifecycle
from bento.api.scoring import owner_of
from bento.errors import (
    BodyTooLarge,
    InvalidRequest,
    RequestTimeout,
    TooManySentences,
    Unauthorized,
    UnsupportedEncoding,
)
from bento.jobs import lines as kept
from bento.jobs import store
from bento.jobs.access import Jobs
from bento.jobs.errors import JobsOff, JobsUnavailable, KeyReused, LineFault, QuotaExceeded, UnknownJob, UploadsFull
from bento.jobs.store import Store
from bento.jobs.told import Job
from bento.settings import Settings

MEDIA_TYPE = "application/x-ndjson"
# Bodies that are received at a time, and bytes of one that go into the database at a time. With a longest line each,
# they hold 5 MiB together.
_UPLOADS, _PIECE = 4, 256 * 1024
_KEY = re.compile(r"[!-~]{1,255}")
_COMMON = (Unauthorized, JobsOff, JobsUnavailable)
_BODY = (
    InvalidRequest,
    LineFault,
    KeyReused,
    TooManySentences,
    BodyTooLarge,
    RequestTimeout,
    UnsupportedEncoding,
    QuotaExceeded,
    UploadsFull,
)
_EXAMPLE = '{"id": "a-1", "text": "The state of our union is strong."}\n{"id": 2, "text": "It is important to note."}\n'
# These are read by our own code, so that errors have the usual shape.
_DIGITS = re.compile(r"[0-9]{1,9}")
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same again makes no second job.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_START = {
    "name": "start",
    "in": "query",
    "description": "Leave out so many of the first lines.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
}
JobId = Annotated[str, Path(description="As the job's answer has it.")]


class JobList(BaseModel):
    """The jobs of an API key, the newest first."""

    jobs: list[Job]


def router(lifecycle: Lifecycle) -> APIRouter:
    """The routes of this file."""
    routes = APIRouter(tags=["Jobs"])
    settings, jobs = lifecycle.settings, lifecycle.jobs
    keys = settings.api.keys
    uploads = asyncio.Semaphore(_UPLOADS)

    @routes.post(
        "/api/v1/jobs",
        status_code=202,
        summary="Make a job",
        response_model=Job,
        responses=documented(*_COMMON, *_BODY),
        openapi_extra=_body(),
    )
    async def make(request: Request) -> Response:
        """JSON Lines, each `{"id", "text"}`: they are stored, and scored in the background.

        A text over a limit gets an error as its result. If a line is not such an object, the body is refused.
        """
        owner = owner_of(request, keys)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not _KEY.fullmatch(key):
            raise InvalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters", "Idempotency-Key")
        if uploads.locked():
            raise UploadsFull(_UPLOADS)
        async with uploads:
            job = await _receive(request, jobs, settings, owner, key)
        jobs.wake()
        return _answer(_job(job), 202, {"Location": f"{settings.api.base_path}/api/v1/jobs/{job['id']}"})

    @routes.get("/api/v1/jobs", summary="List the jobs", response_model=JobList, responses=documented(*_COMMON))
    async def every(request: Request) -> Response:
        """All jobs of the API key, the newest first."""
        found = await jobs.ask(Store.of, owner_of(request, keys))
        return _answer(JobList(jobs=[_job(one) for one in found]))

    @routes.get(
        "/api/v1/jobs/{id}", summary="How far is it?", response_model=Job, responses=documented(*_COMMON, UnknownJob)
    )
    async def one(request: Request, id: JobId) -> Response:
        """State, counts, and an estimate of the time left."""
        found = await jobs.ask(Store.get, id, owner_of(request, keys))
        return _answer(_job(found, await jobs.ask(Store.versions, id)))

    @routes.get(
        "/api/v1/jobs/{id}/results",
        summary="Results, as far as they are",
        response_class=StreamingResponse,
        responses=documented(*_COMMON, UnknownJob, InvalidRequest)
        | {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "JSON Lines."}},
        openapi_extra={"parameters": [_START]},
    )
    async def results(request: Request, id: JobId) -> Response:
        """A line for each text in the order given, `{"id", "probabilities"}` or `{"id", "error"}`, up to the first
        text that has none yet.
        """
        owner, start = owner_of(request, keys), _start(request)
        first = await jobs.ask(Store.results, id, owner, start)

        async def stream() -> AsyncIterator[bytes]:
            found, position = first, start
            while found is not None:
                text, begin, position_after = found
                yield kept.without_first(text, position - begin) if position > begin else text
                position = position_after
                found = await jobs.ask(Store.results, id, owner, position)

        return StreamingResponse(stream(), media_type=MEDIA_TYPE)

    @routes.delete(
        "/api/v1/jobs/{id}", summary="End and forget it", response_model=Job, responses=documented(*_COMMON, UnknownJob)
    )
    async def forget(request: Request, id: JobId) -> Response:
        """Its texts and results are deleted. The answer is its last state: `cancelled` if it was not done."""
        return _answer(_job(await jobs.ask(Store.delete, id, owner_of(request, keys))))

    return routes


async def _receive(request: Request, jobs: Jobs, settings: Settings, owner: str, key: str | None) -> store.Job:
    """Write a body into the database, in constant memory. A refused body leaves nothing there."""
    limits = settings.jobs
    digest = hashlib.sha256()
    pieces = pieces_of(request, limits.max_body_bytes, limits.receive_timeout_s, "jobs.receive_timeout_s")
    if key is not None and (earlier := await jobs.ask(Store.by_key, owner, key)):
        async for piece in pieces:
            digest.update(piece)
        return _same(earlier, digest.hexdigest())
    job_id = await jobs.ask(Store.begin, owner)
    try:
        intake = _Intake(jobs, settings, job_id)
        async for piece in pieces:
            digest.update(piece)
            await intake.add(piece)
        await intake.end()
        return _same(await jobs.ask(Store.accept, job_id, owner, digest.hexdigest(), key), digest.hexdigest())
    except BaseException:  # the client has closed the connection, too
        await asyncio.shield(asyncio.ensure_future(_forget(jobs, job_id, owner)))
        raise


async def _forget(jobs: Jobs, job_id: str, owner: str) -> None:
    try:
        await jobs.ask(Store.delete, job_id, owner)
    except (UnknownJob, JobsUnavailable):
        return  # Store.sweep deletes what is left of it in the database


def _same(job: store.Job, digest: str) -> store.Job:
    """Raises KeyReused."""
    if job["digest"] != digest:
        raise KeyReused
    return job


class _Intake:
    """Cuts a body into lines, a piece at a time."""

    def __init__(self, jobs: Jobs, settings: Settings, job_id: str) -> None:
        self._jobs = jobs
        self._settings = settings
        self._job_id = job_id
        self._buffer = bytearray()
        self._line = 1
        self._texts = 0

    async def add(self, piece: bytes) -> None:
        """Raises LineFault and TooManySentences."""
        self._buffer += piece
        if len(self._buffer) < _PIECE:
            return
        end = self._buffer.rfind(b"\n") + 1
        if end:
            await self._keep(end)
        elif len(self._buffer) > lines.MOST_BYTES:
            raise LineFault(self._line, f"is over the limit of {lines.MOST_BYTES} bytes")

    async def end(self) -> None:
        """The end of the body. Raises what `add` raises, and InvalidRequest if there was no line."""
        await self._keep(len(self._buffer))
        if not self._texts:
            raise InvalidRequest('the body has no line: send {"id": "...", "text": "..."}, one a line', "body")

    async def _keep(self, end: int) -> None:
        body = bytes(self._buffer[:end])
        del self._buffer[:end]
        if not body:
            return
        self._texts += await self._jobs.ask(self._write, body, self._line)
        self._line += body.count(b"\n")

    def _write(self, store: Store, body: bytes, line: int) -> int:
        found = lines.read(body, line, self._settings.api)
        most = self._settings.jobs.max_texts
        if self._texts + len(found) > most:
            raise TooManySentences("the body", most + 1, most, counted=False)
        store.add(self._job_id, kept.chunks_of(found), len(body))
        return len(found)


def _job(job: store.Job, versions: list[str] | None = None) -> Job:
    left = None
    if job["state"] == "running" and job["started"] is not None and job["texts_done"]:
        seconds = max(0.0, job["now"] - job["started"])
        left = round(seconds * (job["texts"] - job["texts_done"]) / job["texts_done"], 1)
    shown = {name: job[name] for name in ("id", "state", "texts", "texts_done", "texts_failed", "reason")}
    ended = None if job["ended"] is None else round(job["ended"], 3)
    return Job(**shown, created=round(job["created"], 3), ended=ended, seconds_left=left, model_versions=versions)


def _answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), status, headers, media_type="application/json")


def _body() -> dict[str, Any]:
    """The body is read by our own code, as it arrives, so its schema is added to OpenAPI here."""
    schema = {"type": "string", "format": "json-lines"}
    body = {"required": True, "content": {MEDIA_TYPE: {"schema": schema, "example": _EXAMPLE}}}
    return {"requestBody": body, "parameters": [_IDEMPOTENCY]}


def _start(request: Request) -> int:
    """Raises InvalidRequest."""
    given = request.query_params.get("start", "0")
    if not _DIGITS.fullmatch(given):
        raise InvalidRequest(f"start is {given[:64]!r}: send a whole number from 0 to 999999999", "start")
    return int(given)

"""POST /api/v1/predict/sentences."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from bento.api.body import read_body
from bento.api.errors import PREDICT_RESPONSES
from bento.api.lifecycle import Lifecycle
from bento.api.models import Metadata, PredictRequest, PredictResponse, parse_predict
from bento.detector import Detector, Scores
from bento.errors import DeadlineExceeded, Unauthorized
from bento.settings import ApiSettings


def router(lifecycle: Lifecycle) -> APIRouter:
    """The routes of this file."""
    api = lifecycle.settings.api
    routes = APIRouter(tags=["Scores"])

    @routes.post(
        "/api/v1/predict/sentences",
        summary="Score every word",
        response_model=PredictResponse,
        responses=PREDICT_RESPONSES,
        openapi_extra=_body(api),
    )
    async def predict(request: Request) -> Response:
        """For every word of every text, how likely it is that a machine wrote it.

        A word is one of `text.split()`. A text's scores do not depend on the other texts.
        """
        _authorize(request, api.keys)
        detector = lifecycle.detector
        body = await read_body(request, api.max_body_bytes)
        started = time.perf_counter()
        texts = parse_predict(body, api).sentences
        scores = await _while_wanted(request, detector.score(texts), api.timeout_s)
        answer = _respond(detector, scores, time.perf_counter() - started)
        return Response(answer.model_dump_json(), media_type="application/json")

    return routes


def _body(limits: ApiSettings) -> dict[str, Any]:
    """The body is read by hand, to stop at its limit; so its schema is told to OpenAPI by hand too."""
    schema = PredictRequest.model_json_schema()
    schema["properties"]["sentences"] |= {
        "minItems": 1,
        "maxItems": limits.max_sentences,
        "items": {"type": "string", "pattern": r"\S"},
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _authorize(request: Request, keys: tuple[str, ...]) -> None:
    """Raises Unauthorized, in a time that does not tell how much of a key was right."""
    if not keys:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    matches = [secrets.compare_digest(given.strip().encode(), key.encode()) for key in keys]
    if scheme.lower() != "bearer" or not any(matches):
        raise Unauthorized


async def _while_wanted(request: Request, scoring: Coroutine[Any, Any, Scores], timeout_s: float) -> Scores:
    """The result, unless its client goes away or its time is up: then its queued work is dropped.

    Raises ClientDisconnect, DeadlineExceeded, and what `scoring` raises.
    """
    work = asyncio.ensure_future(scoring)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect if gone.done() else DeadlineExceeded(timeout_s)
    finally:
        work.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    """Returns once the client has gone away. To be called when the body is read: nothing else can come then."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _respond(detector: Detector, scores: Scores, seconds: float) -> PredictResponse:
    # Rounded as float64: the shortest decimal of a rounded float32 has more than four places.
    rounded = [np.round(values.astype(np.float64), 4).tolist() for values in scores.words]
    metadata = Metadata(
        model_version=detector.version,
        processing_time_ms=round(seconds * 1000, 1),
        total_words=scores.total_words,
        engine=detector.engine,
        precision=detector.manifest.precision,
        queue_time_ms=round(scores.queue_s * 1000, 1),
        cached_sentences=scores.cached,
    )
    return PredictResponse.model_construct(probabilities=rounded, metadata=metadata)

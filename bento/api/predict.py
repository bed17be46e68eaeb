"""POST /api/v1/predict/sentences."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from bento.api.errors import documented
from bento.api.models import Metadata, PredictRequest, PredictResponse, parse_predict
from bento.api.scoring import FAULTS, Desk
from bento.api.validation import documented_texts
from bento.detector import Detector, Scores
from bento.settings import ApiSettings
from bento.text import words


def router(api: ApiSettings, desk: Desk) -> APIRouter:
    """The routes of this file."""
    routes = APIRouter(tags=["Scores"])

    @routes.post(
        "/api/v1/predict/sentences",
        summary="Score every word",
        response_model=PredictResponse,
        responses=documented(*FAULTS),
        openapi_extra=_body(api),
    )
    async def predict(request: Request) -> Response:
        """For every word of every text, how likely it is that a machine wrote it.

        A word is one of `text.split()`; `"include": ["offsets"]` asks where each stands in its text. A text's scores do
        not depend on the other texts.
        """
        async with desk.serve(request) as turn:
            asked = await turn.read(lambda body: parse_predict(body, api))
            scores = await turn.score(asked.sentences, "sentences")
        offsets = list(map(_offsets, asked.sentences)) if "offsets" in asked.include else None
        answer = _respond(turn.detector, scores, offsets, turn.seconds)
        return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")

    return routes


def _body(limits: ApiSettings) -> dict[str, Any]:
    """The body is read by hand, to stop at its limit; so its schema is told to OpenAPI by hand too."""
    schema = PredictRequest.model_json_schema()
    schema["properties"]["sentences"] |= documented_texts(limits)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _offsets(text: str) -> list[tuple[int, int]]:
    return [(start, stop) for start, stop in words.split(text).tolist()]


def _respond(
    detector: Detector, scores: Scores, offsets: list[list[tuple[int, int]]] | None, seconds: float
) -> PredictResponse:
    metadata = Metadata(
        model_version=detector.version,
        processing_time_ms=round(seconds * 1000, 1),
        total_words=scores.total_words,
        engine=detector.engine,
        precision=detector.manifest.precision,
        queue_time_ms=round(scores.queue_s * 1000, 1),
        cached_sentences=scores.cached,
    )
    return PredictResponse.model_construct(
        probabilities=[words.rounded(values) for values in scores.words], offsets=offsets, metadata=metadata
    )

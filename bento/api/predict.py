"""POST /api/v1/predict/sentences."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from bento import passages
from bento.api.errors import documented
from bento.api.models import PredictRequest, PredictResponse, metadata, parse_predict
from bento.api.scoring import FAULTS, Desk, Turn
from bento.api.validation import documented_texts
from bento.detector import Scores
from bento.settings import ApiSettings
from bento.text.words import rounded


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
        """For every word of every text, the probability that a machine wrote it.

        A word is one of `text.split()`. `include` adds each word's place in its text, the passages that are a machine's
        by the threshold, and a summary. A text's scores do not depend on the other texts.
        """
        async with desk.serve(request) as turn:
            asked = await turn.read(lambda body: parse_predict(body, api))
            scores = await turn.score(asked.sentences, "sentences")
        answer = _respond(turn, asked, scores)
        return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")

    return routes


def _body(limits: ApiSettings) -> dict[str, Any]:
    """The body is read by our own code, to stop at its limit, so its schema is added to OpenAPI here."""
    schema = PredictRequest.model_json_schema()
    schema["properties"]["sentences"] |= documented_texts(limits)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _respond(turn: Turn, asked: PredictRequest, scores: Scores) -> PredictResponse:
    wanted, texts, detector = set(asked.include), asked.sentences, turn.detector
    probabilities = [rounded(values) for values in scores.words]
    answer = PredictResponse.model_construct(probabilities=probabilities, metadata=metadata(detector, scores, 0))
    if "offsets" in wanted:
        answer.offsets = list(map(passages.offsets, texts))
    if wanted & {"spans", "summary"}:
        thresholds = [detector.threshold_for(len(values)) for values in probabilities]
        answer.metadata.threshold = max(thresholds, key=lambda one: (not one.abstains, one.value))
        found = list(map(passages.find, texts, probabilities, thresholds))
        if "spans" in wanted:
            answer.spans = found
        if "summary" in wanted:
            answer.summary = list(map(passages.summarise, probabilities, found, thresholds))
    answer.metadata.processing_time_ms = round(turn.seconds * 1000, 1)
    return answer

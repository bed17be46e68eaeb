"""POST /api/v1/predict/document: one long text, whole or as events while it is scored."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationInfo, field_validator

from bento import passages
from bento.api.errors import documented, shape
from bento.api.events import EVENT_STREAM, EventStream, event
from bento.api.models import Metadata, metadata
from bento.api.scoring import FAULTS, Desk, Turn
from bento.api.validation import NOT_BLANK, check_text, parse
from bento.detector import Scores
from bento.errors import TextTooLong, WordtellError
from bento.passages import Span, Summary
from bento.settings import ApiSettings
from bento.text.words import rounded

_PATH = "/api/v1/predict/document"
_EXAMPLE = '{"text": "..."}'


class DocumentRequest(BaseModel):
    """A text to score."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "The state of our union is strong."}]}
    )

    text: StrictStr = Field(description="At most 200,000 characters (a setting), of any number of words.")

    @field_validator("text")
    @classmethod
    def _within_limits(cls, text: str, info: ValidationInfo) -> str:
        most = cast(ApiSettings, info.context).max_document_characters
        if len(text) > most:
            raise TextTooLong.in_characters("text", len(text), most, "max_document_characters")
        check_text(text, "text")
        return text


class Progress(BaseModel):
    """The data of an event `progress`: the probabilities of the next words, as they will be in the result."""

    first_word: int = Field(description="Which word the first of `probabilities` belongs to.")
    probabilities: list[float]
    words: int = Field(description="How many words the document has.")


class DocumentResponse(BaseModel):
    """Scores of a document, and the data of the event `result`."""

    probabilities: list[float] = Field(description="For each word, how likely a machine wrote it: 0 to 1, to 4 places.")
    offsets: list[tuple[int, int]] = Field(description="For each word, its first code point and the one behind it.")
    spans: list[Span] = Field(description="The passages that a machine wrote, in order.")
    summary: Summary
    metadata: Metadata


def router(api: ApiSettings, desk: Desk) -> APIRouter:
    """The routes of this file."""
    routes = APIRouter(tags=["Scores"])
    responses = documented(*FAULTS)
    responses[200] = {
        "description": "The scores; with `Accept: text/event-stream` the events `progress`, then `result` or `error`.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    }

    @routes.post(
        _PATH,
        summary="Score every word of one long text",
        response_model=DocumentResponse,
        responses=responses,
        openapi_extra=_body(api),
    )
    async def predict(request: Request) -> Response:
        """Scores one text of up to 200,000 characters: probabilities, offsets, passages and a summary.

        With `Accept: text/event-stream` the answer is a stream of events: `progress` with the scores of the next words,
        then `result`, whose data is the body of the other answer. An error before the first event has its own status; a
        later one is an event `error`. If the client closes the connection, the work is dropped.
        """
        stream = _wants_events(request.headers.get("Accept", ""))
        events = _answer(request, api, desk)
        if not stream:
            return await _last(events)
        first = await anext(events)  # errors before the work begins have their own status
        return EventStream(_encoded(first, events), api.timeout_s)

    return routes


async def _answer(request: Request, api: ApiSettings, desk: Desk) -> AsyncGenerator[BaseModel, None]:
    """Progress, then the response."""
    async with desk.serve(request) as turn:
        asked = await turn.read(lambda body: parse(DocumentRequest, body, api, _EXAMPLE))
        where = passages.offsets(asked.text)
        done = 0
        async for found in turn.follow(asked.text, "text"):
            if isinstance(found, Scores):
                answer = _respond(turn, asked.text, where, found)
            else:
                yield Progress(first_word=done, probabilities=rounded(found[done:]), words=len(where))
                done = max(done, len(found))
    yield answer  # made by the last item of `follow`; the request's memory is released before it is sent


async def _last(events: AsyncGenerator[BaseModel, None]) -> Response:
    async with aclosing(events):
        async for one in events:
            last = one
    return Response(last.model_dump_json(exclude_none=True), media_type="application/json")


async def _encoded(first: BaseModel, rest: AsyncGenerator[BaseModel, None]) -> AsyncGenerator[bytes, None]:
    """The events. An internal error ends the stream and is logged further out."""
    try:
        yield _event(first)
        async for one in rest:
            yield _event(one)
    except WordtellError as error:
        yield event("error", shape(error))
    finally:
        await rest.aclose()


def _event(data: BaseModel) -> bytes:
    return event("progress" if isinstance(data, Progress) else "result", data)


def _respond(turn: Turn, text: str, where: passages.Offsets, scores: Scores) -> DocumentResponse:
    probabilities = rounded(scores.words[0])
    threshold = turn.detector.threshold_for(len(probabilities))
    found = passages.find(text, probabilities, threshold)
    return DocumentResponse.model_construct(
        probabilities=probabilities,
        offsets=where,
        spans=found,
        summary=passages.summarise(probabilities, found, threshold),
        metadata=metadata(turn.detector, scores, turn.seconds, threshold),
    )


def _wants_events(accept: str) -> bool:
    return EVENT_STREAM in [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]


def _body(limits: ApiSettings) -> dict[str, Any]:
    """The body is read by our own code, to stop at its limit, so its schema is added to OpenAPI here."""
    schema = DocumentRequest.model_json_schema()
    schema["properties"]["text"] |= {"pattern": NOT_BLANK, "maxLength": limits.max_document_characters}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

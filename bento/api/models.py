"""The bodies of the contract (docs/api.md). Every limit of a request is checked here."""

from __future__ import annotations

import json
from typing import Any, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from bento.errors import InvalidRequest, RequestError, TooManySentences, TooManyWords
from bento.settings import ApiSettings

_EXAMPLE: list[JsonValue] = [
    "The state of our union is strong.",
    "It is important to note that progress takes many forms.",
]


class PredictRequest(BaseModel):
    """Texts to score."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"sentences": _EXAMPLE}]})

    sentences: list[StrictStr] = Field(description="1 to 120 texts, each of 1 to 350 words (both limits are settings).")

    @field_validator("sentences")
    @classmethod
    def _within_limits(cls, sentences: list[str], info: ValidationInfo) -> list[str]:
        limits = cast(ApiSettings, info.context)
        if not sentences:
            raise InvalidRequest("sentences is empty: send at least one text", "sentences")
        if len(sentences) > limits.max_sentences:
            raise TooManySentences(len(sentences), limits.max_sentences)
        for index, text in enumerate(sentences):
            field = f"sentences[{index}]"
            if not _is_text(text):
                raise InvalidRequest(f"{field} holds half of a surrogate pair: send whole characters", field)
            words = len(text.split())
            if words == 0:
                raise InvalidRequest(f"{field} is blank: send at least one word", field)
            if words > limits.max_words:
                raise TooManyWords(index, words, limits.max_words)
        return sentences


class Metadata(BaseModel):
    """How the answer came about."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str = Field(description="Equal versions give equal scores.")
    processing_time_ms: float = Field(description="From the last byte of the request to the answer.")
    total_words: int = Field(description="Words in all texts.")
    engine: str = Field(description="What ran the model.")
    precision: str = Field(description="fp32 or int8.")
    queue_time_ms: float = Field(description="How much of the time the request waited for a lane.")
    cached_sentences: int = Field(description="Texts whose scores were already known.")


class PredictResponse(BaseModel):
    """Scores."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "probabilities": [[0.0312, 0.0544, 0.0409, 0.0365, 0.0297, 0.0311, 0.0402], [0.9741, 0.9688]],
                    "metadata": {
                        "model_version": "wordtell-small-int8-0f3a9c21",
                        "processing_time_ms": 153.2,
                        "total_words": 9,
                        "engine": "onnxruntime",
                        "precision": "int8",
                        "queue_time_ms": 0.4,
                        "cached_sentences": 0,
                    },
                }
            ]
        }
    )

    probabilities: list[list[float]] = Field(
        description="For each text, for each of its words, how likely a machine wrote it: 0 to 1, to 4 places."
    )
    metadata: Metadata


class Health(BaseModel):
    """What is served."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "status": "healthy",
                    "model_loaded": True,
                    "model_version": "wordtell-small-int8-0f3a9c21",
                    "device": "cpu",
                    "engine": "onnxruntime",
                    "precision": "int8",
                }
            ]
        },
    )

    status: str
    model_loaded: bool
    model_version: str
    device: str
    engine: str
    precision: str


class ErrorBody(BaseModel):
    """What went wrong, where, and what to do about it."""

    code: str = Field(description="Stable; for programs.")
    message: str = Field(description="Names the field, the limit and the remedy; for people.")
    field: str | None = Field(description="The part of the request at fault, where there is one.")


class ErrorResponse(BaseModel):
    """The one shape of every error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "code": "too_many_words",
                        "message": "sentences[3] has 412 words; the limit is 350",
                        "field": "sentences[3]",
                    }
                }
            ]
        }
    )

    error: ErrorBody


def parse_predict(body: bytes, limits: ApiSettings) -> PredictRequest:
    """Body -> request. Raises a RequestError for the first fault found."""
    # Not model_validate_json: its parser rejects half of a surrogate pair without saying in which text it stands.
    try:
        document = json.loads(body)
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}", "body") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply: send a list of texts", "body") from None
    try:
        return PredictRequest.model_validate(document, context=limits)
    except ValidationError as error:
        raise _first_fault(error.errors(include_url=False)[0]) from None


def _first_fault(fault: ErrorDetails) -> RequestError:
    context: dict[str, Any] = fault.get("ctx", {})
    if isinstance(ours := context.get("error"), RequestError):
        return ours
    field = _path(fault["loc"])[:64]  # an unknown field's name is the client's, of any length
    match fault["type"]:
        case "extra_forbidden":
            return InvalidRequest(f"{field} is not a known field: send only sentences", field)
        case "missing":
            return InvalidRequest(f"{field} is missing: send a list of texts", field)
        case "model_type":
            return InvalidRequest('the body must be an object: {"sentences": ["..."]}', "body")
        case "list_type":
            return InvalidRequest(f"{field} must be a list of texts", field)
        case "string_type":
            return InvalidRequest(f"{field} must be a text (a JSON string)", field)
    return InvalidRequest(f"{field or 'the body'}: {fault['msg']}", field or "body")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(location: tuple[int | str, ...]) -> str:
    """("sentences", 3) -> sentences[3]"""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text

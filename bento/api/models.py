"""The bodies of the contract (docs/api.md)."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictStr, ValidationInfo, field_validator

from bento.api.validation import check_texts, parse
from bento.detector import Detector, Scores
from bento.errors import InvalidRequest
from bento.passages import INCLUDABLE, Span, Summary, Threshold
from bento.settings import ApiSettings

_EXAMPLE: list[JsonValue] = [
    "The state of our union is strong.",
    "It is important to note that progress takes many forms.",
]


class PredictRequest(BaseModel):
    """Texts to score."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"sentences": _EXAMPLE}]})

    sentences: list[StrictStr] = Field(description="1 to 120 texts, each of 1 to 350 words (both limits are settings).")
    include: list[StrictStr] = Field(
        [],
        description="What the answer shall hold besides: `offsets`, `spans`, `summary`.",
        json_schema_extra={"items": {"type": "string", "enum": [*INCLUDABLE]}},
    )

    @field_validator("sentences")
    @classmethod
    def _within_limits(cls, sentences: list[str], info: ValidationInfo) -> list[str]:
        check_texts(sentences, cast(ApiSettings, info.context), "sentences")
        return sentences

    @field_validator("include")
    @classmethod
    def _known(cls, include: list[str]) -> list[str]:
        for index, name in enumerate(include):
            if name not in INCLUDABLE:
                field = f"include[{index}]"
                raise InvalidRequest(f"{field} is {name[:64]!r}: known are {', '.join(INCLUDABLE)}", field)
        return include


class Metadata(BaseModel):
    """About the answer: the model, the engine, times."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str = Field(description="Equal versions give equal scores.")
    processing_time_ms: float = Field(description="From the last byte of the request to the answer.")
    total_words: int = Field(description="Words in all texts.")
    engine: str = Field(description="What ran the model.")
    precision: str = Field(description="fp32 or int8.")
    queue_time_ms: float = Field(description="How much of the time the request waited for a lane.")
    cached_sentences: int = Field(description="Texts whose scores were already known.")
    threshold: Threshold | None = Field(
        None, description="With `spans` or `summary`: from which score a word counts as a machine's."
    )


def metadata(detector: Detector, scores: Scores, seconds: float, threshold: Threshold | None = None) -> Metadata:
    """How these scores came about, in so many seconds since the request was whole."""
    return Metadata(
        model_version=detector.version,
        processing_time_ms=round(seconds * 1000, 1),
        total_words=scores.total_words,
        engine=detector.engine,
        precision=detector.manifest.precision,
        queue_time_ms=round(scores.queue_s * 1000, 1),
        cached_sentences=scores.cached,
        threshold=threshold,
    )


class PredictResponse(BaseModel):
    """Scores."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "probabilities": [[0.0312, 0.0544, 0.0409, 0.0365, 0.0297, 0.0311, 0.0402], [0.9741, 0.9688]],
                    "metadata": {
                        "model_version": "wordtell-small-int8-0f3a9c21-fused.amx-512.64",
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
    offsets: list[list[tuple[int, int]]] | None = Field(
        None,
        description='With `"include": ["offsets"]`: for each text, for each of its words, the Unicode code point where'
        " it starts, and the one after its last.",
    )
    spans: list[list[Span]] | None = Field(
        None, description="With `spans`: for each text, the passages that a machine wrote, in order."
    )
    summary: list[Summary] | None = Field(None, description="With `summary`: for each text.")
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
                    "model_version": "wordtell-small-int8-0f3a9c21-fused.amx-512.64",
                    "device": "cpu",
                    "engine": "onnxruntime",
                    "precision": "int8",
                    "jobs": "off",
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
    jobs: Literal["off", "ready", "unavailable"] = Field(description="Requests for scores do not depend on it.")


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


class ProtocolError(BaseModel):
    """The shape of every error below /v1 and /v2, as the Open Inference Protocol wants it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "instances[3] has 412 words; the limit is 350"}]}
    )

    error: str = Field(description="Names the field, the limit and the remedy.")


def parse_predict(body: bytes, limits: ApiSettings) -> PredictRequest:
    """Body -> request. Raises a RequestError for the first fault found."""
    return parse(PredictRequest, body, limits, '{"sentences": ["..."]}')

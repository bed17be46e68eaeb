"""Any exception -> the one shape of errors."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from bento import metrics
from bento.api.models import ErrorBody, ErrorResponse
from bento.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotReady,
    Overloaded,
    TooManySentences,
    TooManyWords,
    Unauthorized,
    WordtellError,
)

_PREDICT = (
    InvalidRequest,
    TooManySentences,
    TooManyWords,
    BodyTooLarge,
    Unauthorized,
    Overloaded,
    ModelNotReady,
    DeadlineExceeded,
)


def respond(error: Exception) -> Response:
    """The answer for an error. What is not ours shows nothing of itself: 500 `internal`."""
    if not isinstance(error, WordtellError):
        error = WordtellError()
    metrics.REJECTIONS.labels(error.code).inc()
    body = ErrorResponse(error=ErrorBody(code=error.code, message=error.message, field=error.field))
    return Response(body.model_dump_json(), error.status, error.headers(), media_type="application/json")


def documented(*kinds: type[WordtellError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` of a route that may raise these."""
    statuses: dict[int | str, list[type[WordtellError]]] = {}
    every: tuple[type[WordtellError], ...] = (*kinds, WordtellError)
    for kind in every:
        statuses.setdefault(kind.status, []).append(kind)
    return {
        status: {
            "model": ErrorResponse,
            "description": " ".join(f"`{kind.code}`: {(kind.__doc__ or '').splitlines()[0]}" for kind in grouped),
        }
        for status, grouped in statuses.items()
    }


PREDICT_RESPONSES = documented(*_PREDICT)

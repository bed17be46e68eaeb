"""Any exception -> the shape of errors that its path promises."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from bento import metrics
from bento.api.models import ErrorBody, ErrorResponse, ProtocolError
from bento.api.statuses import headers, status
from bento.errors import WordtellError

# What proxies write into their logs for a client that went away before its answer; nobody receives it.
CLIENT_CLOSED_REQUEST = 499
# Below these the Open Inference Protocol says what an error looks like.
_PROTOCOLS = ("/v1", "/v2")


def respond(error: Exception, path: str) -> Response:
    """The answer for an error. What is not ours shows nothing of itself: 500 `internal`."""
    if not isinstance(error, WordtellError):
        error = WordtellError()
    body: BaseModel = shape(error)
    if path in _PROTOCOLS or path.startswith(tuple(prefix + "/" for prefix in _PROTOCOLS)):
        body = ProtocolError(error=error.message)
    return Response(body.model_dump_json(), status(type(error)), headers(error), media_type="application/json")


def shape(error: WordtellError) -> ErrorResponse:
    """The body of an error, which is counted."""
    metrics.REJECTIONS.labels(error.code).inc()
    return ErrorResponse(error=ErrorBody(code=error.code, message=error.message, field=error.field))


def documented(*kinds: type[WordtellError], shape: type[BaseModel] = ErrorResponse) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` of a route that may raise these."""
    statuses: dict[int | str, list[type[WordtellError]]] = {}
    every: tuple[type[WordtellError], ...] = (*kinds, WordtellError)
    for kind in every:
        statuses.setdefault(status(kind), []).append(kind)
    return {
        number: {
            "model": shape,
            "description": " ".join(f"`{kind.code}`: {(kind.__doc__ or '').splitlines()[0]}" for kind in grouped),
        }
        for number, grouped in statuses.items()
    }

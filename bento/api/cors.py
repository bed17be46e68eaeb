"""CORS: which origins' pages may call the server, and which headers their scripts can read."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from bento.api.tensors import JSON_LENGTH
from bento.errors import InvalidRequest

_EXPOSED = ("X-Request-Id", "Retry-After", "Retry-After-Ms", JSON_LENGTH)


class Cors(CORSMiddleware):
    """Starlette's, for `api.cors_origins`. A preflight request is answered here and needs no key."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        # Credentials are not allowed, because no cookies are read: keys are in a header.
        super().__init__(app, origins, allow_methods=("*",), allow_headers=("*",), expose_headers=_EXPOSED)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Raises InvalidRequest if the origin is not allowed."""
        answer = super().preflight_response(request_headers)
        if answer.status_code >= 400:
            said = bytes(answer.body).decode()
            raise InvalidRequest(f"{said}: api.cors_origins lists the origins that may ask", "Origin")
        return answer

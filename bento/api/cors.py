"""Pages of other origins: which may ask, and what their scripts see of an answer."""

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
        # No cookies are read, so no credentials are allowed: keys travel in a header.
        super().__init__(app, origins, allow_methods=("*",), allow_headers=("*",), expose_headers=_EXPOSED)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Raises InvalidRequest when the page may not ask."""
        answer = super().preflight_response(request_headers)
        if answer.status_code >= 400:
            said = bytes(answer.body).decode()
            raise InvalidRequest(f"{said}: api.cors_origins lists the origins that may ask", "Origin")
        return answer

"""The outermost layer: an id and a count for every answer; errors in their path's shape, whoever made them."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento import metrics
from bento.api.errors import respond
from bento.errors import InvalidRequest, MethodNotAllowed, NotFound, WordtellError

logger = logging.getLogger("wordtell")

REQUEST_ID = "X-Request-Id"
# What proxies write into their logs for a client that went away before its answer; nobody receives it.
CLIENT_CLOSED_REQUEST = 499
_ACCEPTABLE_ID = re.compile(r"[!-~]{1,128}")  # visible ASCII: safe in a header and in a log


class Edge:
    """ASGI middleware around all routes, BentoML's own among them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex
        status = 0
        error: Exception | None = None

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        async def send_unless_error(message: Message) -> None:
            # An error that a framework below has put into words of its own is held back, and told in ours further down.
            nonlocal error
            if message["type"] == "http.response.start" and message["status"] >= 400:
                error = _reword(scope, message["status"], Headers(raw=message["headers"]))
            if error is None:
                await send_counted(message)

        try:
            await self._app(scope, receive, send_unless_error)
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST
        except Exception as raised:
            error = raised
            if not isinstance(raised, WordtellError):
                logger.exception("request %s failed", request_id)
        if error is not None and not status:
            await respond(error, scope["path"])(scope, receive, send_counted)
        route = getattr(scope.get("route"), "path", "other")
        metrics.HTTP_REQUESTS.labels(route, status).inc()
        metrics.HTTP_SECONDS.labels(route).observe(time.perf_counter() - started)


def _reword(scope: Scope, status: int, headers: Headers) -> WordtellError:
    path = scope["path"]
    if status == 404:
        return NotFound(path)
    if status == 405:
        return MethodNotAllowed(scope["method"], path, headers.get("Allow", ""))
    if status < 500:
        return InvalidRequest(f"{path} cannot take this request ({status})")
    return WordtellError()

"""The outermost layer: gives every answer an id and counts it; gives every error the shape that its path promises.

Here a request also gets the form in which the routes know it: without `api.base_path`, without a slash at its end (a
redirect would name the address that the proxy sees, not the client's), and a HEAD as a GET, whose body is left out.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento import metrics
from bento.api import traced
from bento.api.cors import Cors
from bento.api.errors import CLIENT_CLOSED_REQUEST, respond
from bento.errors import InvalidRequest, MethodNotAllowed, NotFound, RequestError, WordtellError

logger = logging.getLogger("wordtell")

REQUEST_ID = "X-Request-Id"
_ACCEPTABLE_ID = re.compile(r"[!-~]{1,128}")  # visible ASCII: safe in a header and in a log
# In the scope of a request below this layer: the request as the client sent it, and its id.
SENT, _ID = "wordtell.sent", "wordtell.id"


class Edge:
    """ASGI middleware around all routes, BentoML's own among them."""

    def __init__(
        self,
        app: ASGIApp,
        base_path: str = "",
        origins: Sequence[str] = (),
        knows: Callable[[str], bool] = lambda path: False,
    ) -> None:
        """`base_path` and `origins` are the settings. `knows`: is there a route of this path as it stands?"""
        self._app = app
        self._base = base_path
        self._knows = knows
        self._way: ASGIApp = Cors(self._answer, origins) if origins else self._answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex
        status = 0
        head = scope["method"] == "HEAD"
        method = "GET" if head else scope["method"]
        scope = {**scope, "path": self._inner(scope["path"]), "method": method, SENT: scope, _ID: request_id}

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            elif head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._way(scope, receive, send_counted)
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST
        except RequestError as refused:  # a preflight request: every other error is handled further in
            await respond(refused, scope["path"])(scope, receive, send_counted)
        route = getattr(scope.get("route"), "path", "other")
        traced.name(scope[SENT]["method"], route, request_id)
        metrics.HTTP_REQUESTS.labels(route, status).inc()
        metrics.HTTP_SECONDS.labels(route).observe(time.perf_counter() - started, metrics.exemplar())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the routes; answer with an error if they fail."""
        begun = False
        error: Exception | None = None

        async def send_unless_error(message: Message) -> None:
            # An error response of a framework below is held back, and replaced by ours further down.
            nonlocal error, begun
            if message["type"] == "http.response.start":
                error = _reword(scope[SENT], message["status"], Headers(raw=message["headers"]))
                begun = error is None
            if error is None:
                await send(message)

        try:
            await self._app(scope, receive, send_unless_error)
        except ClientDisconnect:
            raise
        except Exception as raised:
            error = raised
            if not isinstance(raised, WordtellError):
                logger.exception("request %s failed", scope[_ID])
        if error is not None and not begun:
            answer = respond(error, scope["path"])
            # Its trace holds this frame and all below, with what they read of the body, and this frame holds the error.
            error = None
            await answer(scope, receive, send)

    def _inner(self, path: str) -> str:
        """The path that the routes know. One of ours goes before the base path: that may be /api."""
        path = path.rstrip("/") or "/"
        below = bool(self._base) and (path == self._base or path.startswith(f"{self._base}/"))
        return (path[len(self._base) :] or "/") if below and not self._knows(path) else path


def _reword(sent: Scope, status: int, headers: Headers) -> WordtellError | None:
    path = sent["path"]
    if status in (307, 404):  # 307: Starlette would have the path with a slash at its end
        return NotFound(path)
    if status == 405:
        allow = [method for method in headers.get("Allow", "").split(", ") if method and method != "HEAD"]
        if "GET" in allow:
            allow.insert(allow.index("GET") + 1, "HEAD")
        return MethodNotAllowed(sent["method"], path, ", ".join(allow))
    if status >= 500:
        return WordtellError()
    return InvalidRequest(f"{path} cannot take this request ({status})") if status >= 400 else None

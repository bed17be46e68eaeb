"""The span of a request, around everything that answers it."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Requested every few seconds at every pod: their traces would outnumber the others.
_UNTRACED = ("/livez", "/readyz", "/healthz", "/metrics")


class Traced:
    """ASGI middleware. Attributes are named by OpenTelemetry's conventions for HTTP; edge.py adds the route."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as a child of the span that its `traceparent` names."""
        if scope["type"] != "http" or scope["path"].rstrip("/").endswith(_UNTRACED):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"], "url.scheme": scope["scheme"]}
        with self._tracer.start_as_current_span(
            scope["method"], context=extract(headers), kind=SpanKind.SERVER, attributes=attributes
        ) as span:

            async def send_told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            await self._app(scope, receive, send_told)


def name(method: str, route: str, request_id: str) -> None:
    """Set the route on the current span, if there is one: the template, not the path, which clients can vary."""
    span = trace.get_current_span()
    if span.is_recording():
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.route": route, "wordtell.request_id": request_id})

"""Replaces BentoML's layers around our routes that cost each request more than they give."""

from __future__ import annotations

from typing import Any

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.http import traffic
from opentelemetry.instrumentation import asgi
from starlette.types import ASGIApp, Receive, Scope, Send

from bento import tracing
from bento.api.traced import Traced


class _Nothing:
    """In the place of a layer that is left out."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _traced(app: ASGIApp, **options: Any) -> Traced:
    """In the place of BentoML's tracing layer, which takes no OpenTelemetry variables and knows no stages."""
    return Traced(app, tracing.start())


def replace() -> None:
    """To be called before BentoML builds its application. Raises ConfigError.

    The timeout layer is removed, because we have our own deadline. BentoML's keeps a timer for every request until its
    time is over, answered or not, and as long the task of a client that is gone.

    The tracing layer is replaced by ours if OpenTelemetry's variables name a collector. Otherwise it is removed, unless
    BentoML's configuration names an exporter: without one, its four spans of a request are not sent, and cost the event
    loop as much as everything else that a refusal needs.
    """
    traffic.TimeoutMiddleware = _Nothing  # type: ignore[misc, assignment]  # replaced
    if tracing.wanted():
        asgi.OpenTelemetryMiddleware = _traced  # type: ignore[misc, assignment]  # replaced
    elif BentoMLContainer.tracing.exporter_type.get() is None:
        asgi.OpenTelemetryMiddleware = _Nothing  # type: ignore[misc, assignment]  # replaced

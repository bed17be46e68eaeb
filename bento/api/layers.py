"""BentoML's own layers around our routes: those that cost each request more than they give are replaced."""

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

    The timeout layer goes: our own deadline says what happened. BentoML's keeps a timer for every request until its
    time has passed, answered or not, and keeps the task of a client that went away for as long.

    The tracing layer becomes ours when OpenTelemetry's variables name a collector. Else it goes, unless BentoML's
    configuration names an exporter: nobody sees its four spans of a request, which take the event loop as long as all
    else that a refusal needs.
    """
    traffic.TimeoutMiddleware = _Nothing  # type: ignore[misc, assignment]
    if tracing.wanted():
        asgi.OpenTelemetryMiddleware = _traced  # type: ignore[misc, assignment]
    elif BentoMLContainer.tracing.exporter_type.get() is None:
        asgi.OpenTelemetryMiddleware = _Nothing  # type: ignore[misc, assignment]

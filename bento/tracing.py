"""Traces by OpenTelemetry, only if its own variables name a collector (OTEL_EXPORTER_OTLP_ENDPOINT).

A request is a span, with its stages below: `tokenise`, `queue`, `run`, `align`. A run of the model that several
requests share is linked to each of them. Stages are recorded when they end, with their seconds, so they cost nothing
without tracing; with it, a thread of its own makes their spans, because a request of one short text would wait longer
for them than for its tokens. The variables: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bento import __version__
from bento.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext, Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
_TIMEOUT_S = 2.0
_RECORDED_EVERY_S = 0.1

_provider: TracerProvider | None = None
_recorder: _Recorder | None = None


@dataclass(frozen=True)
class _Stage:
    """One that has ended. end: nanoseconds since 1970. requests: the spans of those that it was of, at least one."""

    name: str
    seconds: float
    end: int
    requests: Sequence[SpanContext]
    attributes: Mapping[str, int | str]


class _Recorder(threading.Thread):
    """Makes the spans of stages, ten times a second, until stopped."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(name="traces", daemon=True)
        self._tracer = tracer
        self._ended: deque[_Stage] = deque()
        self._stopping = threading.Event()

    def add(self, stage: _Stage) -> None:
        """From any thread."""
        self._ended.append(stage)

    def run(self) -> None:
        """See Thread."""
        while not self._stopping.wait(_RECORDED_EVERY_S):
            self._record()
        self._record()

    def stop(self) -> None:
        """Make the spans of all stages that were added."""
        self._stopping.set()
        self.join()

    def _record(self) -> None:
        from opentelemetry import trace  # noqa: PLC0415

        while self._ended:
            stage = self._ended.popleft()
            span = self._tracer.start_span(
                stage.name,
                context=trace.set_span_in_context(trace.NonRecordingSpan(stage.requests[0])),
                links=[trace.Link(context) for context in stage.requests] if len(stage.requests) > 1 else (),
                start_time=stage.end - round(stage.seconds * 1e9),
                attributes=stage.attributes,
            )
            span.end(stage.end)


def wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether OpenTelemetry's variables ask for traces. Raises ConfigError for a protocol that is not spoken here."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    if not any(environ.get(name) for name in _ENDPOINTS):
        return False
    for name in _PROTOCOLS:
        if (protocol := environ.get(name, "")) not in ("", _PROTOCOL):
            raise ConfigError(f"environment {name}: wordtell sends traces by {_PROTOCOL}, not {protocol!r}", name)
    return True


def start(exporter: SpanExporter | None = None) -> Tracer:
    """Begin to trace. exporter: where to, in place of the collector that the variables name."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - only who traces loads these
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    global _provider, _recorder  # noqa: PLW0603 - one for the process, as loggers and metrics are
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        # Its default is 10 s; a stopping server would wait that long for a collector that does not answer.
        exporter = OTLPSpanExporter(timeout=None if any(map(os.environ.get, _TIMEOUTS)) else _TIMEOUT_S)
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "wordtell"}
    _provider = TracerProvider(resource=Resource.create(named))
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = _provider.get_tracer("wordtell", __version__)
    _recorder = _Recorder(tracer)
    _recorder.start()
    return tracer


def stop() -> None:
    """Send the spans that were not sent yet."""
    global _provider, _recorder  # noqa: PLW0603
    if _provider is not None and _recorder is not None:
        _recorder.stop()
        _provider.shutdown()
    _provider = _recorder = None


def current() -> SpanContext | None:
    """The span around, for a stage that ends on another thread; None without tracing, or if this request is not
    traced."""
    if _recorder is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415

    found = trace.get_current_span().get_span_context()
    return found if found.is_valid and found.trace_flags.sampled else None


def stage(name: str, seconds: float, requests: Sequence[SpanContext | None], **attributes: int | str) -> None:
    """A stage that has just ended, of these requests: a span below the first that is traced, linked to all of them."""
    if _recorder is None:
        return
    if traced := tuple({context.span_id: context for context in requests if context}.values()):
        _recorder.add(_Stage(name, seconds, time.time_ns(), traced, attributes))

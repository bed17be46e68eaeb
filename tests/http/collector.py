"""A collector of traces: takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.http.background import Background


class Collector(Background):
    """Listens on 127.0.0.1 at `port` between entry and exit."""

    def __init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.spans: list[Span] = []
        self.services: set[str] = set()
        super().__init__(Handler)

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            names = (pair.value.string_value for pair in resource.resource.attributes if pair.key == "service.name")
            self.services.update(names)
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def wait(self, found: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans, once `found` says that what is wanted is among them."""
        give_up = time.monotonic() + 20
        while not found(spans := list(self.spans)):
            assert time.monotonic() < give_up, [span.name for span in spans]
            time.sleep(0.05)
        return spans

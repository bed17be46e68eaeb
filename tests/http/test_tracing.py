"""Traces, exemplars and JSON lines of a real server, with a real collector beside it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.http.collector import Collector
from tests.http.server import Server, long_texts, run_to_failure

PATH = "/api/v1/predict/sentences"
STAGES = {"tokenise", "queue", "run", "align"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def server(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It tells the collector of every request, and writes a JSON log."""
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "WORDTELL_LOG__FORMAT": "json",
    }
    with Server(tmp_path_factory.mktemp("traced") / "log", settings) as running:
        yield running


def post(server: Server, trace: str, texts: list[str], status: int = 200) -> str:
    """Send texts as part of a trace; returns the answer's X-Request-Id."""
    headers = {"traceparent": f"00-{trace}-{'1' * 16}-01"}
    answer = server.client.post(PATH, json={"sentences": texts}, headers=headers)
    assert answer.status_code == status
    return answer.headers["X-Request-Id"]


def of(trace: str, spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.trace_id.hex() == trace]


def attributes(span: Span) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes}


def test_a_request_is_a_span_with_its_stages_below(server: Server, collector: Collector) -> None:
    trace = "a" * 32
    request_id = post(server, trace, ["A text that is traced."])
    spans = of(trace, collector.wait(lambda spans: {span.name for span in of(trace, spans)} > STAGES))
    (request,) = [span for span in spans if span.name == f"POST {PATH}"]
    assert request.parent_span_id.hex() == "1" * 16
    assert request.kind == Span.SPAN_KIND_SERVER
    assert attributes(request)["http.route"] == PATH
    assert attributes(request)["wordtell.request_id"] == request_id
    stages = [span for span in spans if span.name in STAGES]
    assert sorted(span.name for span in stages) == sorted(STAGES)
    for stage in stages:
        assert stage.parent_span_id == request.span_id
        assert request.start_time_unix_nano <= stage.end_time_unix_nano
        assert stage.start_time_unix_nano < stage.end_time_unix_nano
    assert collector.services == {"wordtell"}


def test_a_run_that_requests_share_is_linked_to_each(server: Server, collector: Collector) -> None:
    """Long texts keep both lanes busy, so that short ones of several requests wait, and run together."""
    traces = [f"{number:032x}" for number in range(1, 25)]

    def shared(spans: list[Span]) -> bool:
        return any(len({link.trace_id for link in span.links}) > 1 for span in spans if span.name == "run")

    for attempt in range(10):
        with ThreadPoolExecutor(25) as callers:
            busy = callers.submit(post, server, "b" * 32, long_texts(8, f"busy{attempt}"))
            short = [callers.submit(post, server, trace, [f"Short {attempt} {trace}."]) for trace in traces]
            for call in (busy, *short):
                call.result()
        if shared(list(collector.spans)):
            break
    spans = collector.wait(shared)
    run = next(span for span in spans if span.name == "run" and len(span.links) > 1)
    requests = {span.span_id for span in spans if span.name == f"POST {PATH}"}
    assert {link.span_id for link in run.links} <= requests
    assert run.parent_span_id == run.links[0].span_id


def test_what_nobody_samples_is_not_sent(server: Server, collector: Collector) -> None:
    trace = "c" * 32
    headers = {"traceparent": f"00-{trace}-{'1' * 16}-00"}
    assert server.client.post(PATH, json={"sentences": ["Not sampled."]}, headers=headers).status_code == 200
    post(server, "d" * 32, ["Sampled, and after it."])
    assert not of(trace, collector.wait(lambda spans: len(of("d" * 32, spans)) > 4))


def test_probes_and_metrics_are_not_traced(server: Server, collector: Collector) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert server.client.get(path).status_code == 200
    post(server, "e" * 32, ["After the probes."])
    spans = collector.wait(lambda spans: len(of("e" * 32, spans)) > 4)
    assert not [span for span in spans if span.name.startswith("GET")]


def test_buckets_lead_to_traces(server: Server) -> None:
    trace = "f" * 32
    post(server, trace, ["For the histogram."])
    found = server.client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert found.headers["Content-Type"].startswith("application/openmetrics-text")
    assert re.search(rf'wordtell_http_request_seconds_bucket.*# {{trace_id="{trace}"}}', found.text)
    assert found.text.endswith("# EOF\n")
    plain = server.client.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain")
    assert "trace_id" not in plain.text


def test_the_log_is_an_object_a_line_with_the_trace(server: Server) -> None:
    trace = "9" * 32
    post(server, trace, ["x"] * 121, status=400)
    lines: list[dict[str, str]] = []
    give_up = time.monotonic() + 10
    while not any(line.get("trace_id") == trace for line in lines):  # it is written behind the answer
        assert time.monotonic() < give_up
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    (access,) = [line for line in lines if line.get("trace_id") == trace]
    assert access["logger"] == "bentoml.access"
    assert f"path={PATH}" in access["message"]
    assert {"time", "level", "span_id"} <= access.keys()
    started = [line for line in lines if line["logger"] == "wordtell"]
    assert any(line["message"].startswith("serving wordtell-small") for line in started)


def test_a_protocol_that_is_not_spoken_stops_the_start(tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    code, output = run_to_failure(settings, tmp_path)
    assert code != 0
    assert "OTEL_EXPORTER_OTLP_PROTOCOL: wordtell sends traces by http/protobuf, not 'grpc'" in output


def test_a_collector_that_is_away_changes_no_answer(tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Server(tmp_path / "log", settings) as server:
        post(server, "8" * 32, ["Nobody listens there."])
        assert server.client.get("/readyz").status_code == 200

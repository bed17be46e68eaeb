"""Prometheus counters, gauges and histograms. The values of every label are in the code, so their number is bounded.

They have their own registry: BentoML's default metrics have the raw path as a label, and clients can send any number of
paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from opentelemetry.trace import SpanContext
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, values
from prometheus_client.exposition import choose_encoder

from bento import tracing

# BentoML has prometheus_client keep values in files, for several workers. There is one, and files know no exemplars.
values.ValueClass = values.MutexValue

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

# From one short text on the embedded model to 120 long ones on a large model.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)

HTTP_REQUESTS = Counter(
    "wordtell_http_requests", "Answers by route template and status.", ["route", "status"], registry=REGISTRY
)
HTTP_SECONDS = Histogram(
    "wordtell_http_request_seconds",
    "From the request's head to the answer's end.",
    ["route"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
REJECTIONS = Counter("wordtell_rejections", "Requests not served, by error code.", ["code"], registry=REGISTRY)
TEXTS = Counter("wordtell_texts", "Texts scored.", registry=REGISTRY)
WORDS = Counter("wordtell_words", "Words scored.", registry=REGISTRY)
TOKENS = Counter("wordtell_tokens", "Tokens run through the model, special tokens included.", registry=REGISTRY)
PADDING = Counter("wordtell_padding_tokens", "Positions run through the model that hold no token.", registry=REGISTRY)
WINDOWS = Counter("wordtell_windows", "Windows run through the model.", registry=REGISTRY)
BATCH_WINDOWS = Histogram(
    "wordtell_batch_windows",
    "Windows that shared a run of the model.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    registry=REGISTRY,
)
BATCH_TOKENS = Histogram(
    "wordtell_batch_tokens",
    "Tokens of a run of the model, with padding.",
    buckets=(16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
    registry=REGISTRY,
)
CACHED_TEXTS = Counter("wordtell_cached_texts", "Texts whose scores were already known.", registry=REGISTRY)
STAGE_SECONDS = Histogram(
    "wordtell_stage_seconds",
    "Time in each stage: tokenise a request, queue it, run a micro-batch, align a text.",
    ["stage"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
QUEUE_TOKENS = Gauge(
    "wordtell_queue_tokens", "Tokens admitted and not yet running; those being made are an estimate.", registry=REGISTRY
)
LANES = Gauge("wordtell_lanes", "Lanes that can run a micro-batch at the same time.", registry=REGISTRY)
LANES_BUSY = Gauge("wordtell_lanes_busy", "Lanes that are running one.", registry=REGISTRY)
DEVICE_MEMORY = Gauge(
    "wordtell_device_memory_bytes", "Memory in use on a GPU, by all its programs.", ["device"], registry=REGISTRY
)
DEVICE_UTILISATION = Gauge(
    "wordtell_device_utilisation", "Share of the last second that a GPU computed.", ["device"], registry=REGISTRY
)
MODEL_INFO = Gauge(
    "wordtell_model_info",
    "1, for the model that is served; kernels: the graph and the instruction set.",
    ["version", "precision", "engine", "kernels"],
    registry=REGISTRY,
)
JOBS_UP = Gauge("wordtell_jobs_up", "1 while the jobs' database answers; 0 too where jobs are off.", registry=REGISTRY)
JOBS = Gauge("wordtell_jobs", "Jobs in the database, of all servers, by state.", ["state"], registry=REGISTRY)
JOBS_TEXTS = Gauge("wordtell_jobs_waiting_texts", "Texts of unfinished jobs, of all servers.", registry=REGISTRY)
JOBS_OLDEST = Gauge("wordtell_jobs_oldest_seconds", "Age of the oldest unfinished job.", registry=REGISTRY)
JOBS_CHUNKS = Counter(
    "wordtell_jobs_chunks", "Chunks by how they ended here: done, dead (given up), lost.", ["end"], registry=REGISTRY
)
JOBS_FREE_BYTES = Gauge("wordtell_jobs_free_bytes", "Bytes that are free where jobs.folder is.", registry=REGISTRY)
# What alerts and panels take the rate of is shown as 0 from the start: Prometheus sees no rise in a series that begins.
for _end in ("done", "dead", "lost"):
    JOBS_CHUNKS.labels(_end)
for _code in ("overloaded", "deadline_exceeded"):
    REJECTIONS.labels(_code)


def of_device(name: str) -> tuple[float | None, float | None]:
    """Memory in use and utilisation of a GPU, as the gauges have them; None where nobody knows, as of a CPU."""
    gauges = "wordtell_device_memory_bytes", "wordtell_device_utilisation"
    memory, utilisation = (REGISTRY.get_sample_value(gauge, {"device": name}) for gauge in gauges)
    return memory, None if utilisation is None or math.isnan(utilisation) else utilisation


def stage(name: str, seconds: float, requests: Sequence[SpanContext | None], **attributes: int | str) -> None:
    """Record a stage of these requests that has just ended, in its histogram and in their traces."""
    STAGE_SECONDS.labels(name).observe(seconds)
    tracing.stage(name, seconds, requests, **attributes)


def exemplar() -> dict[str, str] | None:
    """The exemplar of a histogram's bucket: the trace of one of its requests; None if it is not traced."""
    context = tracing.current()
    return {"trace_id": f"{context.trace_id:032x}"} if context else None


def exposition(accept: str = "") -> tuple[bytes, str]:
    """All metrics, and their content type: OpenMetrics, which has exemplars, if the client accepts it, else Prometheus'
    text."""
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type

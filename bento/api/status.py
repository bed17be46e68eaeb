"""GET /api/v1/health and /metrics. The probes /livez and /readyz are BentoML's own, asked of service.py."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from bento import metrics
from bento.api.errors import documented
from bento.api.lifecycle import Lifecycle
from bento.api.models import Health
from bento.errors import ModelNotReady


def router(lifecycle: Lifecycle) -> APIRouter:
    """The routes of this file."""
    routes = APIRouter(tags=["Status"])

    @routes.get("/api/v1/health", summary="What is served", response_model=Health, responses=documented(ModelNotReady))
    async def health() -> Health:
        """The model and what runs it; 503 with the reason while there is none."""
        detector = lifecycle.detector
        return Health(
            status="healthy",
            model_loaded=True,
            model_version=detector.version,
            device=detector.abilities.device,
            engine=detector.engine,
            precision=detector.manifest.precision,
            jobs=lifecycle.jobs.state,
        )

    @routes.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def exposition(request: Request) -> Response:
        """Counters, gauges and histograms in Prometheus' text format, or in OpenMetrics if the client accepts that."""
        content, kind = metrics.exposition(request.headers.get("Accept", ""))
        return Response(content, headers={"Content-Type": kind})

    return routes

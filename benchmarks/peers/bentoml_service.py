"""BentoML's own adaptive batching around the session."""

from __future__ import annotations

import bentoml

from benchmarks.peers.session import Session


@bentoml.service(workers=1, traffic={"timeout": 600}, metrics={"enabled": False})
class Batchable:
    """POST /score {"sentences": [...]}."""

    def __init__(self) -> None:
        self._session = Session()

    @bentoml.api(batchable=True, max_batch_size=120, max_latency_ms=60_000, route="/score")
    def score(self, sentences: list[str]) -> list[list[float]]:
        """One list of probabilities a text."""
        return self._session.score(sentences)

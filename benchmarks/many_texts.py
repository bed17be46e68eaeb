"""The tables of docs/benchmarks.md about files and jobs, from the results of benchmarks.bulk and benchmarks.jobs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from benchmarks import markdown


def batch(results: Path) -> str:
    """`wordtell batch` beside the model alone, for each model that was measured."""
    found = [read for path in sorted(results.glob("bulk-*.json")) if (read := markdown.read(results, path.stem))]
    if not found:
        return markdown.NOT_YET
    rows = [
        (
            result["model"],
            *(f"{speed['words_per_s'][way]:,.0f}" for way in ("engines", "batch")),
            f"{speed['share']:.1%}",
            f"{speed['cpu_share']:.1%}",
        )
        for result in found
        for speed in (result["speed"],)
    ]
    head = ("model", "words/s, model alone", "words/s, `wordtell batch`", "share", "share of CPU time")
    return "\n\n".join([markdown.table(head, rows), *dict.fromkeys(map(markdown.machine, found))])


def jobs(results: Path) -> str:
    """A job beside requests."""
    result = markdown.read(results, "jobs")
    if not result:
        return markdown.NOT_YET
    throughput, fairness = result["throughput"], result["fairness"]
    rows = [
        ("words/s as requests", _median(one["requests"] for one in throughput["words_per_second"]), ""),
        ("words/s as a job", _median(one["job"] for one in throughput["words_per_second"]), ""),
        ("cost of a job, time", f"{throughput['cost']:.1%}", f"{throughput['bound']:.0%}"),
        ("cost of a job, CPU time", f"{throughput['cpu_cost']:.1%}", ""),
        ("p95 of a 3 x 50 request, idle", f"{fairness['idle']['p95_ms']:,.0f} ms", ""),
        ("p95 of it beside a job", f"{fairness['busy']['p95_ms']:,.0f} ms", f"{fairness['bound_ms']:,.0f} ms"),
    ]
    return f"{markdown.table(('figure', 'found', 'at most'), rows)}\n\n{markdown.machine(result)}"


def _median(rates: Iterable[float]) -> str:
    return f"{statistics.median(rates):,.0f}"

"""Does the server's memory grow under mixed load?

Sends requests of every size for minutes, at 60 % of what the server can do, and samples the resident memory of all its
processes. The first quarter warms up; growth is the median of the last tenth over that of the tenth after the warm-up.
Writes benchmarks/results/soak.json.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import harness, servers
from benchmarks.load import Client, words_per_second
from benchmarks.serving import MEAN_WORDS


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--model", type=Path, default=servers.MODEL)
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin(options.cores)
    with servers.start("wordtell", options.cores, options.model) as server:
        found = asyncio.run(measure(server, options.minutes * 60))
    question = "growth of the server's resident memory under mixed load"
    result = {"question": question, "model": options.model.name, "cores": options.cores, "minutes": options.minutes}
    harness.write("soak", result | found, options.results)


async def measure(server: servers.Server, seconds: float) -> dict[str, Any]:
    """Memory over time, in MB, and what became of the requests."""
    burst = min(15.0, 0.1 * seconds)
    async with Client(server) as client:
        peak = words_per_second(await client.closed_loop(8, burst), 0.0, burst)
    samples: list[float] = []
    async with Client(server, 1) as client:
        load = asyncio.create_task(client.open_loop(0.6 * peak / MEAN_WORDS, seconds))
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            samples.append(harness.resident(server.pid) / 1e6)
            await asyncio.sleep(min(5.0, seconds / 100, max(0.05, seconds - passed)))
        outcomes = await load
    return {"samples_mb": [round(value, 1) for value in samples], **growth(samples)} | {
        "status": {str(status): count for status, count in Counter(one.status for one in outcomes).items()}
    }


def growth(samples: list[float]) -> dict[str, float]:
    """Memory after the warm-up and at the end, in MB, and how much larger the second is."""
    tenth = max(1, len(samples) // 10)
    warm = len(samples) // 4
    first, last = statistics.median(samples[warm : warm + tenth]), statistics.median(samples[-tenth:])
    return {"warm_mb": round(first, 1), "end_mb": round(last, 1), "growth": round(last / first - 1, 4)}


if __name__ == "__main__":
    main()

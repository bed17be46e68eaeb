"""How long does a fresh 3-text request take while two 120-text requests are running?

Two callers send 120 x 350 requests without a pause; at the same time a request of 3 x 50 words is sent every half
second.
Its bound: three times its p95 on the idle server, plus the time of one 350-word text there. Writes
benchmarks/results/fairness.json.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import harness, servers
from benchmarks.load import Client, Size, percentiles
from bento.settings import ROOT

SHORT, LONG, WINDOW = Size("3 x 50", 3, 50), Size("120 x 350", 120, 350), Size("1 x 350", 1, 350)
Done = TypeVar("Done")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", nargs="+", choices=servers.COMMANDS, default=["wordtell", "BentoML batchable"])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--model", type=Path, default=servers.MODEL)
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin(options.cores)
    found = {}
    for name in options.servers:
        try:
            with servers.start(name, options.cores, options.model) as server:
                found[name] = asyncio.run(measure(server, options.requests))
        except (RuntimeError, OSError) as error:
            found[name] = {"failed": str(error).replace(f"{ROOT}/", "")[-600:]}
    question = "milliseconds of a 3 x 50 request on an idle server, and beside two 120 x 350 requests"
    result = {"question": question, "model": options.model.name, "cores": options.cores, "servers": found}
    harness.write("fairness", result, options.results)


async def measure(server: servers.Server, requests: int) -> dict[str, Any]:
    """One server."""
    async with Client(server) as client:
        for size in (LONG, SHORT, WINDOW):  # it warms up
            await client.send(size)

        async def keep_busy(stop: asyncio.Event) -> int:
            count = 0
            while not stop.is_set():
                await client.send(LONG)
                count += 1
            return count

        found, counts = await beside(client, requests, keep_busy)
    return {**found, "long_requests": sum(counts)}


async def beside(
    client: Client, requests: int, keep_busy: Callable[[asyncio.Event], Awaitable[Done]]
) -> tuple[dict[str, Any], list[Done]]:
    """Short requests on an idle server, and beside two of `keep_busy`, which run until they are told to stop."""
    idle = percentiles([(await client.send(SHORT)).seconds for _ in range(requests)])
    window = statistics.median([(await client.send(WINDOW)).seconds for _ in range(9)])
    stop = asyncio.Event()
    long = [asyncio.ensure_future(keep_busy(stop)) for _ in range(2)]
    await asyncio.sleep(1)
    outcomes = []
    for _ in range(requests):
        outcomes.append(await client.send(SHORT))
        await asyncio.sleep(0.5)
    stop.set()
    done = list(await asyncio.gather(*long))
    bound = 3 * float(idle["p95_ms"]) + window * 1e3
    busy = percentiles(outcome.seconds for outcome in outcomes if outcome.status == 200)
    found = {
        "idle": idle,
        "busy": busy,
        "long_window_ms": round(window * 1e3, 1),
        "bound_ms": round(bound, 1),
        "p95_of_bound": round(float(busy["p95_ms"]) / bound, 3) if busy["count"] else None,
        "not_answered": sum(outcome.status != 200 for outcome in outcomes),
    }
    return found, done


if __name__ == "__main__":
    main()

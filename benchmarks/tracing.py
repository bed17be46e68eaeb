"""What do traces cost a request?

Three servers with the same model: without tracing, with a collector but no sampled request, and with every request
traced. They are asked in turn, one request of 3 texts at a time, each text new; the collector discards what it
receives. Prints the median of each, and its ratio to the first. Writes benchmarks/results/tracing.json.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks import harness, servers
from benchmarks.load import Client, Size

SIZES = (Size("3 x 50", 3, 50), Size("3 x 350", 3, 350))


class _Collector(BaseHTTPRequestHandler):
    """A collector that discards spans."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400, help="of each size and server")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--model", type=Path, default=servers.MODEL)
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin(options.cores)
    collector = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_address[1]}"}
    variants = {"off": {}, "sampled: none": {**on, "OTEL_TRACES_SAMPLER": "always_off"}, "sampled: all": on}
    found = asyncio.run(measure(variants, options.cores, options.requests, options.model))
    collector.shutdown()
    question = "median time of a request of 3 texts, without traces and with them"
    harness.write("tracing", {"question": question, "model": options.model.name, "found": found}, options.results)


async def measure(
    variants: Mapping[str, Mapping[str, str]], cores: int, requests: int, model: Path
) -> dict[str, dict[str, object]]:
    """Milliseconds by size and variant, and the ratio to the first variant."""
    found: dict[str, dict[str, object]] = {}
    with ExitStack() as running:
        async with AsyncExitStack() as open_clients:
            clients = {}
            for name, settings in variants.items():
                server = running.enter_context(servers.start("wordtell", cores, model, settings))
                clients[name] = await open_clients.enter_async_context(Client(server))
            for size in SIZES:
                times: dict[str, list[float]] = {name: [] for name in clients}
                for _ in range(requests):
                    for name, client in clients.items():
                        times[name].append((await client.send(size)).seconds)
                medians = {name: statistics.median(each[requests // 10 :]) * 1e3 for name, each in times.items()}
                first = next(iter(medians.values()))
                found[size.name] = {
                    name: {"median_ms": round(median, 3), "ratio": round(median / first, 4)}
                    for name, median in medians.items()
                }
    return found


if __name__ == "__main__":
    main()

"""How fast is the whole server over HTTP, compared with others with the same model?

Each server in turn: how many words a second at most (callers that never pause), how long requests take at 70 % of that
(open loop, Poisson arrivals), and how many words a second remain at 5 times that. To check Retry-After, the server is
filled until it refuses a 120 x 350 request; then only this request is repeated until it is admitted, and the time until
then is compared with Retry-After. For
wordtell also: how much of a 120 x 350 request on an idle server is not the model. Writes
benchmarks/results/serving.json.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness, servers
from benchmarks.load import SIZES, Client, Outcome, Size, percentiles, words_per_second
from bento.settings import ROOT

LARGEST = SIZES[-1]
MEAN_WORDS = sum(size.share * size.texts * size.words for size in SIZES)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", nargs="+", choices=servers.COMMANDS, default=list(servers.COMMANDS))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    parser.add_argument("--model", type=Path, default=servers.MODEL)
    parser.add_argument("--repeats", type=int, default=3, help="of what is timed on its own")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin(options.cores)
    found: dict[str, Any] = {}
    for name in options.servers:
        try:
            with servers.start(name, options.cores, options.model) as server:
                found[name] = asyncio.run(measure(server, name, options.seconds, options.repeats))
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            found[name] = {"failed": str(error).replace(f"{ROOT}/", "")[-600:]}
    result = {
        "question": "throughput, latency and overload of each server with the same model",
        "model": options.model.name,
        "cores": options.cores,
        "load": [vars(size) for size in SIZES],
        "servers": found,
    }
    harness.write("serving", result, options.results)


async def measure(server: servers.Server, name: str, seconds: float, repeats: int) -> dict[str, Any]:
    """Everything about one server."""
    async with Client(server) as client:
        await client.closed_loop(2, min(5.0, seconds))  # it warms up
        result: dict[str, Any] = {}
        if name == "wordtell":
            result["beside_the_model"] = [await _beside_the_model(client) for _ in range(repeats)]
        async with Client(server, 1) as other:
            full = await other.closed_loop(16, seconds)
            peak = words_per_second(full, 0.25 * seconds, 0.75 * seconds)
        if not peak:
            raise RuntimeError(f"no request was answered with 200: {_statuses(full)}")
        result["peak_words_per_s"] = round(peak)
        rate = peak / MEAN_WORDS
        calm = await client.open_loop(0.7 * rate, seconds)
        result["at_70_percent"] = {
            "requests_per_s": round(0.7 * rate, 2),
            "latency": {size.name: percentiles(_times(calm, size)) for size in SIZES},
            "status": _statuses(calm),
        }
        async with Client(server, 2) as other:
            loaded = await other.open_loop(5 * rate, seconds)
        result["at_5_times"] = _overload(loaded, peak, seconds)
        if any(outcome.status == 429 for outcome in loaded):
            result["retry_after"] = [truth for _ in range(repeats) if (truth := await _truth(client))]
    return result


def _times(outcomes: Sequence[Outcome], size: Size) -> list[float]:
    return [outcome.seconds for outcome in outcomes if outcome.size == size and outcome.status == 200]


def _statuses(outcomes: Sequence[Outcome]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(Counter(outcome.status for outcome in outcomes).items())}


def _overload(outcomes: Sequence[Outcome], peak: float, seconds: float) -> dict[str, Any]:
    """Goodput in the second half of the load, when the backlog has long been full, and how refusals were made."""
    goodput = words_per_second(outcomes, 0.5 * seconds, 0.5 * seconds)
    refused = [outcome for outcome in outcomes if outcome.status != 200]
    return {
        "requests_per_s": round(len(outcomes) / seconds, 2),
        "status": _statuses(outcomes),
        "goodput_words_per_s": round(goodput),
        "share_of_peak": round(goodput / peak, 3),
        "refusals": percentiles(outcome.seconds for outcome in refused),
        "slowest_refusal_ms": round(max((outcome.seconds for outcome in refused), default=0.0) * 1e3, 1),
        "refusals_without_retry_after": sum(outcome.retry_after is None for outcome in refused),
        "server_errors": sum(outcome.status >= 500 for outcome in outcomes),
        "latency": {size.name: percentiles(_times(outcomes, size)) for size in SIZES},
    }


async def _truth(client: Client, most: int = 64) -> dict[str, float] | None:
    """Fill the server until it refuses, then measure how long until it would not have."""
    tasks: list[asyncio.Task[Outcome]] = []
    refusal: Outcome | None = None
    while refusal is None and len(tasks) < most:
        tasks.append(asyncio.create_task(client.send(LARGEST)))
        await asyncio.sleep(0.3)
        refusal = next((task.result() for task in tasks if task.done() and task.result().status == 429), None)
    truth = None
    while refusal is not None and truth is None:
        probe = await client.send(LARGEST)  # a refusal comes at once; the answer of the one that is admitted, later
        if probe.status != 429:
            said, waited = refusal.retry_after or 0.0, probe.sent - (refusal.sent + refusal.seconds)
            truth = {"said_s": said, "truth_s": round(waited, 2), "error": round(said / max(waited, 1e-3) - 1, 3)}
        await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)
    return truth


async def _beside_the_model(client: Client) -> dict[str, float]:
    """A 120 x 350 request alone: its seconds, and the share of them that is not the model on all lanes."""
    before = await client.stage_seconds()
    outcome = await client.send(LARGEST)
    after = await client.stage_seconds()
    spent = {stage: after[stage] - before.get(stage, 0.0) for stage in after}
    lanes = await client.lanes()
    model = spent["run"] / lanes
    return {
        "seconds": round(outcome.seconds, 3),
        "model_s": round(model, 3),
        "tokenise_s": round(spent.get("tokenise", 0.0), 4),
        "align_s": round(spent.get("align", 0.0), 4),
        "share": round(1 - model / outcome.seconds, 4),
    }


if __name__ == "__main__":
    main()

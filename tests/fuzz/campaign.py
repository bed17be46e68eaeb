"""Thousands of requests, many at a time, to one server; then what they left behind."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks import hostile
from benchmarks.bodies import PREDICT
from benchmarks.watch import Watch, watching
from benchmarks.wire import Answer, Broken, Connection, exchange, request
from tests.fuzz import case as cases
from tests.fuzz import contract
from tests.fuzz.case import Case
from tests.fuzz.message import CANARY, KNOWN
from tests.http.server import Server

# Limits and times so small that the run meets all of them.
RECEIVE_S, KEEP_ALIVE_S, TIMEOUT_S = 2, 4, 20
SETTINGS = {
    "WORDTELL_API__CACHE_MB": "0",  # scores are computed each time
    "WORDTELL_API__MAX_BODY_BYTES": str(1 << 20),
    "WORDTELL_API__MAX_BUFFERED_BYTES": str(16 << 20),
    "WORDTELL_API__MAX_QUEUE_TOKENS": "20000",
    "WORDTELL_API__RECEIVE_TIMEOUT_S": str(RECEIVE_S),
    "WORDTELL_API__KEEP_ALIVE_S": str(KEEP_ALIVE_S),
    "WORDTELL_API__TIMEOUT_S": str(TIMEOUT_S),
}
# A connection is answered or closed within this time, however it was used.
BOUND_S = TIMEOUT_S + RECEIVE_S + KEEP_ALIVE_S + 4
CLIENTS = 32
SMALL = 16_000
# Resident memory at the end may be this much over that after the warm-up, a fifth as many requests again: allocators
# keep what they had at a peak, and 10,000 requests meet higher ones. A leak of 10 kB a request is more.
TOLERANCE_BYTES = 100_000_000
_TRACE = re.compile(r"^Traceback .*?^\S.*?$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Known:
    """What is known of the server before the run: its model version, and the scores of each of the known texts."""

    version: str
    scores: dict[str, list[float]]


@dataclass
class Report:
    """What was seen; `times` says when each request began and ended. `faults` empty: all is well."""

    requests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    worst_livez_ms: float = 0.0
    slowest_s: float = 0.0
    growth_mb: float = 0.0
    times: dict[int, tuple[float, float]] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{name}: {count}" for name, count in sorted(self.outcomes.items()))
        figures = f"worst /livez {self.worst_livez_ms:.0f} ms, slowest answer {self.slowest_s:.1f} s"
        last = f"{len(self.faults)} faults"
        return "\n".join([f"{self.requests} requests: {outcomes}", f"{figures}, memory {self.growth_mb:+.0f} MB", last])


async def run(
    server: Server, seed: int, requests: int, livez_ms: float, until: float | None = None, first: int = 0
) -> Report:
    """Send the cases `first` to `first + requests` of a seed, or what of them begins before the time `until`."""
    report = Report()
    with watching(server.port, server.process.pid) as watch:
        known = await _known(server.port)
        await _send_all(server.port, seed + 1, range(requests // 5), Report(), known, until)
        await hostile.idle(server.port, server.process.pid)
        before, start = watch.resident_bytes(), time.monotonic()
        await _send_all(server.port, seed, range(first, first + requests), report, known, until)
        await _check_after(server, watch, report, known, before)
    if lost := watch.unanswered_livez(start, time.monotonic()):
        report.faults.append(f"{lost} probes of /livez were not answered")
    took, began = watch.worst_livez(start, time.monotonic())
    report.worst_livez_ms = took * 1e3
    if report.worst_livez_ms > livez_ms:
        beside = sorted(index for index, (first, last) in report.times.items() if first < began + took and last > began)
        report.faults.append(f"/livez took {report.worst_livez_ms:.0f} ms (limit {livez_ms:.0f} ms) beside {beside}")
    return report


async def _send_all(port: int, seed: int, numbers: range, report: Report, known: Known, until: float | None) -> None:
    left = iter(numbers)

    async def client() -> None:
        for index in left:
            if until is not None and time.monotonic() > until:
                return
            case = cases.make(seed, index, known.version)
            began = time.monotonic()
            outcome, seconds, faults = await _send(port, case, known.scores)
            report.times[index] = began, time.monotonic()
            report.requests += 1
            report.outcomes[outcome] += 1
            report.slowest_s = max(report.slowest_s, seconds)
            report.faults += [f"{fault}\n  {case}" for fault in faults]

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def _send(port: int, case: Case, scores: dict[str, list[float]]) -> tuple[str, float, list[str]]:
    """One case: what came of it, in how many seconds, and what of that was wrong."""
    started = time.perf_counter()
    try:
        answer = await asyncio.wait_for(_talk(port, case), BOUND_S)
    except (TimeoutError, asyncio.TimeoutError):
        return "hang", BOUND_S, [f"neither answered nor closed within {BOUND_S} s"]
    except (Broken, ValueError) as error:
        return "broken", 0.0, [f"not HTTP: {error}"]
    except OSError as error:
        return "refused", 0.0, [f"no connection: {error}"]
    seconds = time.perf_counter() - started
    if answer is None:
        return "left", seconds, []
    if not answer.status:
        # Whoever is still sending when the server closes may lose the answer; who sent everything at once may not.
        lost = case.end == "wait" and len(case.pieces) == 1 and len(case.pieces[0]) < SMALL
        return "closed", seconds, [f"closed without an answer after {seconds:.2f} s"] if lost else []
    return str(answer.status), seconds, contract.faults(case, answer, scores)


async def _talk(port: int, case: Case) -> Answer | None:
    async with Connection(port) as connection:
        reading = asyncio.create_task(connection.read(case.message.method))
        try:
            for piece in case.pieces:
                if not await connection.write(piece):
                    break
                if case.pause_s:
                    await asyncio.sleep(case.pause_s)
            if case.end == "abort":
                return None
            if case.end == "eof":
                connection.end()
            return await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _known(port: int) -> Known:
    whole = request(PREDICT, json.dumps({"sentences": KNOWN}).encode())
    answer = (await exchange(port, [whole], TIMEOUT_S)).json()
    return Known(answer["metadata"]["model_version"], dict(zip(KNOWN, answer["probabilities"], strict=True)))


async def _check_after(server: Server, watch: Watch, report: Report, known: Known, before: int) -> None:
    def check(good: bool, fault: Callable[[], str]) -> None:
        if not good:
            report.faults.append(fault())

    check(await hostile.idle(server.port, server.process.pid), lambda: "the server is not idle a minute after the end")
    again = await _known(server.port)
    check(again == known, lambda: f"scores have changed: {again} after {known}")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        left = hostile.queued(await hostile.metrics(client))
    check(left == 0, lambda: f"{left} tokens or lanes are still counted as busy")
    await asyncio.to_thread(watch.settle)
    grown = watch.resident_bytes() - before
    report.growth_mb = grown / 1e6
    check(grown <= TOLERANCE_BYTES, lambda: f"memory grew by {grown / 1e6:.0f} MB")
    check(server.process.poll() is None, lambda: "the server has died")
    for fault in log_faults(server.log):
        report.faults.append(fault)


def log_faults(log: Path) -> list[str]:
    """A text of a request, or an error that nobody expected, in the server's log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    found = []
    if CANARY in text:
        at = text.index(CANARY)
        found.append(f"the log holds a text: {text[max(0, at - 300) : at + 100]!r}")
    traces = Counter(trace[0][-700:] for trace in _TRACE.finditer(text))
    found += [f"{count} times in the log: ...{end}" for end, count in traces.most_common(5)]
    return found

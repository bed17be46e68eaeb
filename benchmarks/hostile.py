"""What do hostile requests cost other requests?

To a server that has just answered something good, each hostile request in turn: its answer, the slowest GET /livez
until the server is idle again, the growth of its memory, and whether a good request right after is answered. Writes
benchmarks/results/hostile.json.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks import bodies, connections, harness, servers
from benchmarks.connections import GOOD, RECEIVE_S, Attack
from benchmarks.watch import Watch, watching
from benchmarks.wire import Answer, Broken, exchange, request

SETTINGS = {"WORDTELL_API__RECEIVE_TIMEOUT_S": f"{RECEIVE_S:g}", "WORDTELL_API__TIMEOUT_S": "120"}
# A server that has grown by more, or does not answer, is replaced, because memory that is already allocated would hide
# the next growth.
KEPT_BYTES = 32_000_000
IDLE_S = 60.0
AFTER_S = 10.0
MB = 1_000_000
AIMS = {"worst_livez_ms": 250, "growth_mb": 100, "refusal_s": 1}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="those whose name holds this")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin(options.cores)
    attacks = [attack for attack in every() if options.only is None or options.only in attack.name]
    found: list[dict[str, Any]] = []
    while len(found) < len(attacks):
        with servers.start("wordtell", options.cores, settings=SETTINGS) as server:
            port = int(server.base.rsplit(":", 1)[1])
            with watching(port, server.pid) as watch:
                asyncio.run(until_spoiled(port, server.pid, watch, attacks[len(found) :], found))
    result = {"question": __doc__.splitlines()[0], "model": servers.MODEL.name, "cores": options.cores}
    harness.write("hostile", result | {"aims": AIMS, "summary": summary(found), "requests": found}, options.results)


def every() -> list[Attack]:
    """Bodies, then connections."""
    return [_of(body) for body in bodies.bodies()] + connections.ATTACKS


def _of(body: bodies.Body) -> Attack:
    async def run(port: int) -> list[Answer]:
        whole = request(body.path, body.make(bodies.SIZE), body.headers)
        return await connections.one(port, [whole])

    return Attack(body.name, run, body.statuses)


async def until_spoiled(
    port: int, pid: int, watch: Watch, attacks: Sequence[Attack], found: list[dict[str, Any]]
) -> None:
    """Append the figures of one attack after the other, until the server must be replaced."""
    for _ in range(5):
        await good(port)
    await idle(port, pid)
    first = watch.resident_bytes()
    for attack in attacks:
        one = await measure(port, pid, watch, attack)
        found.append(one)
        print(_line(one), flush=True)
        if not one["answered_after"] or not one["idle_after"] or watch.resident_bytes() - first > KEPT_BYTES:
            return


async def measure(port: int, pid: int, watch: Watch, attack: Attack) -> dict[str, Any]:
    """One attack."""
    await good(port)
    before, start = watch.resident_bytes(), time.monotonic()
    fault = None
    answers: list[Answer] = []
    try:
        answers = await attack.run(port)
    except (Broken, TimeoutError, asyncio.TimeoutError, OSError) as error:
        fault = f"{type(error).__name__} {error}".strip()
    took = time.monotonic() - start
    answered = await good(port)
    is_idle = await idle(port, pid)
    await settled(watch)
    end = time.monotonic()
    statuses = sorted({answer.status for answer in answers})
    slowest = max((answer.seconds for answer in answers if answer.status >= 400), default=None)
    return {
        "name": attack.name,
        "statuses": statuses,
        "as_the_contract_says": bool(statuses) and not fault and attack.statuses.issuperset(statuses),
        "fault": fault,
        "seconds": round(took, 3),
        "refusal_s": None if slowest is None else round(max(0.0, slowest - attack.waits_s), 3),
        "worst_livez_ms": round(watch.worst_livez(start, end)[0] * 1e3, 1),
        "unanswered_livez": watch.unanswered_livez(start, end),
        "growth_mb": round((watch.peak_bytes(start, end) - before) / MB, 1),
        "kept_mb": round((watch.resident_bytes() - before) / MB, 1),
        "answered_after": answered,
        "idle_after": is_idle,
    }


async def good(port: int) -> bool:
    """Is a valid request answered?"""
    try:
        answer = await exchange(port, [request(bodies.PREDICT, GOOD)], AFTER_S)
    except (Broken, TimeoutError, asyncio.TimeoutError, OSError):
        return False
    return answer.status == 200


async def idle(port: int, pid: int) -> bool:
    """Wait until nothing is queued, no lane is busy and the processes rest; False after a minute."""
    end = time.monotonic() + IDLE_S
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=IDLE_S) as client:
        while time.monotonic() < end:
            before, then = _cpu_s(pid), time.monotonic()
            await asyncio.sleep(0.25)
            # The probes themselves take a tenth of a core.
            rests = (_cpu_s(pid) - before) / (time.monotonic() - then) < 0.4
            try:
                if rests and queued(await metrics(client)) == 0:
                    return True
            except httpx.TransportError:
                continue
    return False


async def metrics(client: httpx.AsyncClient) -> dict[str, float]:
    """The server's metrics: name, with labels, -> value."""
    lines = (await client.get("/metrics")).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


def queued(found: dict[str, float]) -> float:
    """Tokens that wait and lanes that work; 0 on an idle server."""
    return found["wordtell_queue_tokens"] + found["wordtell_lanes_busy"]


async def settled(watch: Watch) -> None:
    """Wait for a probe and a sample that began after this call, so that those before are told."""
    await asyncio.to_thread(watch.settle)


def summary(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The worst of each, and where."""
    worst = {}
    for key in AIMS:
        first = max((one for one in found if one[key] is not None), key=lambda one: one[key], default=None)
        worst[key] = {"of": first["name"], key: first[key]} if first else None
    return {
        **worst,
        "not_as_the_contract_says": [one["name"] for one in found if not one["as_the_contract_says"]],
        "livez_not_answered": [one["name"] for one in found if one["unanswered_livez"]],
        "not_answered_after": [one["name"] for one in found if not one["answered_after"]],
    }


def _cpu_s(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        times = [part.cpu_times() for part in (process, *process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    return float(sum(time.user + time.system for time in times))


def _line(one: dict[str, Any]) -> str:
    mark = "ok " if one["as_the_contract_says"] else "BAD"
    statuses = ",".join(map(str, one["statuses"])) or one["fault"]
    after = "" if one["answered_after"] else "  then NOT ANSWERED"
    after += f"  {one['unanswered_livez']} of /livez NOT ANSWERED" if one["unanswered_livez"] else ""
    return (
        f"{mark} {one['name']:<45} {statuses:>12} {one['seconds']:8.2f} s  livez {one['worst_livez_ms']:8.0f} ms"
        f"  memory +{one['growth_mb']:6.0f} MB (kept {one['kept_mb']:5.0f}){after}"
    )


if __name__ == "__main__":
    main()

"""Beside a server under test, in a process of its own: how long GET /livez takes, and what memory the server holds.

Run as `python -m benchmarks.watch PORT PID`: prints a line for each probe, every 10 ms on a connection of its own, as a
kubelet's is, and for each sample of the resident memory of all the server's processes, every 20 ms.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from bento.settings import ROOT

PROBE_S, SAMPLE_S, CHILDREN_S = 0.01, 0.02, 1.0
LONGEST_S = 60.0


class Watch:
    """What was seen so far. Times are those of `time.monotonic()`, which all processes of a machine share."""

    def __init__(self) -> None:
        self.probes: list[tuple[float, float, bool]] = []  # when it began, its seconds, whether it was answered
        self.samples: list[tuple[float, int]] = []

    def read(self, lines: Iterator[str]) -> None:
        """Keep what the other process prints, until it ends."""
        for line in lines:
            kind, when, value = line.split()
            if kind == "memory":
                self.samples.append((float(when), int(value)))
            else:
                self.probes.append((float(when), float(value), kind == "answered"))

    def settle(self) -> None:
        """Wait for a probe and a sample that began after this call, so that those before are known."""
        now = time.monotonic()
        while self.probes[-1][0] < now or self.samples[-1][0] < now:
            time.sleep(PROBE_S)

    def worst_livez(self, start: float, end: float) -> tuple[float, float]:
        """Of the longest probe that ran between two times: its seconds, and when it began."""
        return max(((took, began) for began, took, _ in self._between(start, end)), default=(0.0, start))

    def unanswered_livez(self, start: float, end: float) -> int:
        """How many probes that ran between two times got no answer, or another than 200."""
        return sum(not answered for _, _, answered in self._between(start, end))

    def _between(self, start: float, end: float) -> list[tuple[float, float, bool]]:
        return [probe for probe in list(self.probes) if probe[0] <= end and probe[0] + probe[1] >= start]

    def peak_bytes(self, start: float, end: float) -> int:
        """Most resident memory between two times."""
        return max((held for when, held in list(self.samples) if start <= when <= end), default=0)

    def resident_bytes(self) -> int:
        """The latest sample. Raises RuntimeError when there is none yet."""
        if not self.samples:
            raise RuntimeError("no sample of the memory was taken yet")
        return self.samples[-1][1]


@contextmanager
def watching(port: int, pid: int) -> Iterator[Watch]:
    """Watch a server until the block ends."""
    watch = Watch()
    command = [sys.executable, "-m", "benchmarks.watch", str(port), str(pid)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    reader = threading.Thread(target=watch.read, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        end = time.monotonic() + 30
        while not (watch.probes and watch.samples):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the watcher did not start")
            time.sleep(0.02)
        yield watch
    finally:
        process.terminate()
        process.wait()
        reader.join()
        if process.stdout:
            process.stdout.close()


def main() -> None:
    """Watch until ended."""
    port, pid = map(int, sys.argv[1:])
    threading.Thread(target=_probe, args=(port,), daemon=True).start()
    server = psutil.Process(pid)
    family: list[psutil.Process] = []
    renew = 0.0
    while True:
        now = time.monotonic()
        try:
            if now >= renew:
                family, renew = [server, *server.children(recursive=True)], now + CHILDREN_S
            _say("memory", now, sum(process.memory_info().rss for process in family))
        except psutil.NoSuchProcess:
            renew = 0.0
            if not server.is_running():
                return
        time.sleep(SAMPLE_S)


def _say(kind: str, when: float, value: float) -> None:
    sys.stdout.write(f"{kind} {when} {value}\n")  # in one piece: two threads write
    sys.stdout.flush()


def _probe(port: int) -> None:
    while True:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_S)
        try:
            connection.request("GET", "/livez", headers={"Connection": "close"})
            fine = connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            fine = False
        finally:
            connection.close()
        _say("answered" if fine else "unanswered", began, time.monotonic() - began)
        time.sleep(PROBE_S)


if __name__ == "__main__":
    main()

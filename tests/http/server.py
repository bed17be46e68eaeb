"""A real `bentoml serve` process, in the environment that serving has: no torch, no transformers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import psutil

from bento.settings import ROOT

START_S = 60.0


def long_texts(count: int, seed: str) -> list[str]:
    """Texts of 350 words that no other seed has, so that none is known to the server already."""
    return [f"{seed} {index} " + "word " * 348 for index in range(count)]


def serving_python() -> Path:
    """The Python of the environment that `make serve` makes."""
    python = ROOT / ".venv" / "bin" / "python"
    assert python.exists(), "there is no serving environment: run the tests with `make test`, which makes it"
    return python


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "BENTOML_DO_NOT_TRACK": "True", **settings}


def command(target: Path, *options: str, python: Path | None = None) -> list[str]:
    return [str(python or serving_python()), "-m", "bentoml", "serve", str(target), *options]


def on_loopback(port: int) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(port)]


class Server:
    """Started on entry, ready when `__enter__` returns, stopped on exit."""

    def __init__(
        self,
        log: Path,
        settings: Mapping[str, str],
        target: Path = ROOT,
        python: Path | None = None,
        program: Sequence[str] = (),
    ) -> None:
        """program: what is run instead of `bentoml serve TARGET`; --host and --port are added."""
        self.port = free_port()
        self._program = [*program, *on_loopback(self.port)] if program else []
        self.log = log
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)
        self._settings = settings
        self._target = target
        self._python = python

    def __enter__(self) -> Server:
        options = (*on_loopback(self.port), "--timeout-graceful-shutdown", "20")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._program or command(self._target, *options, python=self._python),
                env=environment(self._settings),
                cwd=self.log.parent,  # not the project: what is served must not depend on where one stands
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        give_up = time.monotonic() + START_S
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.__exit__()
                raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """To the process and its worker, which BentoML starts in a session of its own."""
        parent = psutil.Process(self.process.pid)
        for process in (*parent.children(recursive=True), parent):
            process.send_signal(number)

    def _ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False


def run_to_failure(settings: Mapping[str, str], cwd: Path, options: Sequence[str] | None = None) -> tuple[int, str]:
    """Start a server that must not start; returns its exit code and what it printed."""
    done = subprocess.run(
        command(ROOT, *(on_loopback(free_port()) if options is None else options)),
        env=environment(settings),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=START_S,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout

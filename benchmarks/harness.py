"""Shared by the benchmarks: machine, versions, environments, writing results, starting a server."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from bento import cpu
from bento.settings import ROOT

RESULTS = ROOT / "benchmarks" / "results"
BUILD = ROOT / "build" / "benchmarks"
FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")


def machine() -> dict[str, object]:
    """The machine that the figures were measured on."""
    has = _cpuinfo("flags").split()
    return {
        "cpu": cpu.processor(),
        "cores": cpu.detect().usable,
        "flags": [flag for flag in FLAGS if flag in has],
        "python": platform.python_version(),
    }


def _cpuinfo(key: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key), "")


def versions(*packages: str) -> dict[str, str]:
    """The versions of packages of this environment."""
    return {name: importlib.metadata.version(name) for name in packages}


def write(name: str, result: Mapping[str, object], folder: Path = RESULTS) -> None:
    """Print a result, and write it to `folder`, with the machine and the command that made it."""
    script, *arguments = sys.argv
    command = ["python", "-m", f"benchmarks.{Path(script).stem}", *arguments]
    whole = {**result, "machine": machine(), "command": shlex.join(command).replace(f"{ROOT}/", "")}
    text = json.dumps(whole, indent=2) + "\n"
    print(text, end="")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(text, encoding="utf-8")


def environment(name: str) -> Path:
    """The Python of a peer's own environment, made from requirements/<name>.txt when that has changed. Raises OSError,
    or CalledProcessError with pip's words."""
    wanted = ROOT / "benchmarks" / "requirements" / f"{name}.txt"
    home = BUILD / f"env-{name}"
    python, ready = home / "bin" / "python", home / "ready"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if not ready.exists() or ready.read_text() != digest:
        print(f"installing {name} into {home.relative_to(ROOT)} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        ready.write_text(digest)
    return python


def pin(cores: int) -> None:
    """Keep this process, and all that it starts, to the first `cores` cores that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def resident(pid: int) -> int:
    """Resident bytes of a process and all below it, pages that they share counted each time."""
    try:
        process = psutil.Process(pid)
        return sum(part.memory_info().rss for part in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def serving(
    command: Sequence[str], port: int, ready: str, environ: Mapping[str, str], start_s: float = 180
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, wait until `ready` answers 200, and end it with the block. Raises RuntimeError with its log."""
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / f"server-{port}.log"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a benchmark that is ended ends its server
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=ROOT, env={**os.environ, **environ}, start_new_session=True
        )
        below: list[psutil.Process] = []
        try:
            end = time.monotonic() + start_s
            while not _answers(f"http://127.0.0.1:{port}{ready}"):
                if server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the server did not start: " + log.read_text(errors="replace")[-1000:])
                time.sleep(0.1)
            yield server
        finally:
            if server.poll() is None:
                below = psutil.Process(server.pid).children(recursive=True)
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            for process in psutil.wait_procs(below, 5)[1]:
                process.kill()
    log.unlink(missing_ok=True)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False

"""Where `wordtell serve` listens, and how a container's health check finds it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bento.settings import ROOT
from tests.http.server import START_S, environment, free_port, serving_python


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What /tmp is in a container."""
    return tmp_path_factory.mktemp("container")


@pytest.fixture(scope="module")
def port(scratch: Path) -> Iterator[int]:
    """Of a server that was told its port as platforms do, and nothing else."""
    chosen = free_port()
    given = {"PORT": str(chosen), "BENTOML_CONTAINERIZED": "true", "TMPDIR": str(scratch)}
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(
            [serving_python(), "-m", "bento.cli", "serve"],
            cwd=ROOT,
            env=environment(given),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    give_up = time.monotonic() + START_S
    while not ready(f"127.0.0.1:{chosen}"):
        if process.poll() is not None or time.monotonic() > give_up:
            pytest.fail((scratch / "log").read_text())
        time.sleep(0.05)
    yield chosen
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def healthy(scratch: Path) -> bool:
    """As the image asks: with the standard library alone."""
    command: list[str | Path] = [serving_python(), "-S", "bento/api/healthcheck.py"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(scratch)}, capture_output=True, check=False
    )
    return done.returncode == 0


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


def test_it_listens_where_port_says(port: int) -> None:
    assert ready(f"127.0.0.1:{port}")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_it_listens_to_both_families(port: int) -> None:
    assert ready(f"[::1]:{port}")


def test_the_health_check_finds_the_port(port: int, scratch: Path) -> None:
    assert healthy(scratch)


def test_the_health_check_fails_when_nobody_listens(tmp_path: Path) -> None:
    (tmp_path / "wordtell.port").write_text(str(free_port()))
    assert not healthy(tmp_path)

"""Every server under test: how it is started, and how a request to it looks."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness
from bento.settings import ROOT

MODEL = ROOT / "models" / "wordtell-small"


@dataclass(frozen=True)
class Server:
    """A running server: its process, the address for texts, and the form of its bodies."""

    pid: int
    base: str
    path: str
    body: Callable[[list[str]], dict[str, Any]]


@contextmanager
def start(name: str, cores: int, model: Path = MODEL, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """One of NAMES, on the embedded model or another folder. Raises RuntimeError when it does not start.

    `settings` are more variables of its environment.
    """
    port = harness.free_port()
    with tempfile.TemporaryDirectory() as scratch:
        command, ready, path, body = COMMANDS[name](port, scratch)
        environ = {
            "PYTHONPATH": str(ROOT),
            "BENCHMARK_MODEL": str(model.resolve()),
            "BENCHMARK_CORES": str(cores),
            "BENTOML_DO_NOT_TRACK": "True",
            "WORDTELL_API__CACHE_MB": "0",  # every text of the load is new, and so is not found there
            "WORDTELL_API__TIMEOUT_S": "600",
            "WORDTELL_MODEL__CHECKPOINT_DIR": str(model.resolve()),
            **(settings or {}),
        }
        with harness.serving(command, port, ready, environ) as process:
            yield Server(process.pid, f"http://127.0.0.1:{port}", path, body)


def _sentences(texts: list[str]) -> dict[str, Any]:
    return {"sentences": texts}


def _v2(texts: list[str]) -> dict[str, Any]:
    return {"inputs": [{"name": "texts", "shape": [len(texts), 1], "datatype": "BYTES", "data": texts}]}


Command = tuple[list[str], str, str, Callable[[list[str]], dict[str, Any]]]


def _wordtell(port: int, scratch: str) -> Command:
    command = [sys.executable, "-m", "bento.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    return command, "/readyz", "/api/v1/predict/sentences", _sentences


def _bentoml(port: int, scratch: str) -> Command:
    # In the environment that runs this: wordtell's own pinned BentoML.
    service = "benchmarks.peers.bentoml_service:Batchable"
    command = [sys.executable, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    return command, "/readyz", "/score", _sentences


def _litserve(port: int, scratch: str) -> Command:
    python = str(harness.environment("litserve"))
    return [python, "-m", "benchmarks.peers.litserve_server", str(port)], "/health", "/predict", _sentences


def _mlserver(port: int, scratch: str) -> Command:
    python = str(harness.environment("mlserver"))
    more = [str(harness.free_port()), str(harness.free_port())]
    command = [python, "-m", "benchmarks.peers.mlserver_runtime", str(port), scratch, *more]
    return command, "/v2/models/scores/ready", "/v2/models/scores/infer", _v2


COMMANDS: dict[str, Callable[[int, str], Command]] = {
    "wordtell": _wordtell,
    "BentoML batchable": _bentoml,
    "LitServe": _litserve,
    "MLServer": _mlserver,
}

"""How long does the server that `make serve` starts take for the 120 example texts, over HTTP?

Starts a server of its own on a free port, its cache off, warms it up with one request, and times the rest one after the
other. Prints the median, and writes benchmarks/results/request.json.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
from rich.progress import track

from bento import cpu
from bento.settings import ROOT

EXAMPLES = ROOT / "examples" / "test_120_sentences.json"
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    port = _free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "bento.cli", "serve", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "WORDTELL_API__CACHE_MB": "0"},
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
            _wait(client, server)
            result = _measure(client, repeats)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "request.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def _measure(client: httpx.Client, repeats: int) -> dict[str, object]:
    body = EXAMPLES.read_bytes()
    answer = client.post("/api/v1/predict/sentences", content=body).raise_for_status().json()
    seconds = []
    for _ in track(range(repeats), "requests"):
        started = time.perf_counter()
        client.post("/api/v1/predict/sentences", content=body).raise_for_status()
        seconds.append(time.perf_counter() - started)
    words = answer["metadata"]["total_words"]
    return {
        "question": "seconds for the 120 example texts over HTTP",
        "model_version": answer["metadata"]["model_version"],
        "median_s": round(statistics.median(seconds), 3),
        "all_s": [round(value, 3) for value in seconds],
        "words": words,
        "words_per_second": round(words / statistics.median(seconds)),
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("bentoml", "onnxruntime", "tokenizers")},
    }


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {"cpu": _cpu_name(), "cores": cpu.detect().usable, "python": platform.python_version()}


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _wait(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server did not start; `make serve` says why")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()

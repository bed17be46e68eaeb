"""How long does the server that `make serve` starts take for the 120 example texts, over HTTP?

Starts a server of its own on a free port, its cache off, warms it up with one request, and times the rest one after the
other. Prints the median, and writes benchmarks/results/request.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import httpx
from rich.progress import track

from benchmarks.harness import free_port, serving, versions, write
from bento.settings import ROOT

EXAMPLES = ROOT / "examples" / "test_120_sentences.json"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    port = free_port()
    command = [sys.executable, "-m", "bento.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    environ = {"PYTHONPATH": str(ROOT), "WORDTELL_API__CACHE_MB": "0"}
    with (
        serving(command, port, "/readyz", environ),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client,
    ):
        result = _measure(client, repeats)
    write("request", result)


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
        "versions": versions("bentoml", "onnxruntime", "tokenizers"),
    }


if __name__ == "__main__":
    main()

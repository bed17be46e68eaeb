"""How should lanes use the cores: one session or one a lane, spinning or not, lanes bound to cores or not?

Each way is a process of its own that loads the model; all are timed in turn: 16 texts of 350 words, one lane a core,
one window a run. The median of the rounds, and the resident memory after it. Prints the result, and writes it to
benchmarks/results/lanes.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from itertools import product
from pathlib import Path
from queue import Empty, Queue

import numpy as np
import onnxruntime as ort
import psutil

from benchmarks import dimensions, harness
from bento import artifact
from bento.engines.fused import INPUTS
from bento.engines.onnx import OUTPUT
from bento.native import LIBRARY
from bento.settings import ROOT

TEXTS, WORDS = 16, 350


def serve(model: Path, cores: int, shared: bool, spinning: bool, bound: bool) -> None:
    """A worker: loads, says ready, then scores all texts for every line on standard input."""
    folder = artifact.load(model)

    def load() -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        options.register_custom_ops_library(str(LIBRARY))
        return ort.InferenceSession(folder.fused, options, providers=["CPUExecutionProvider"])

    sessions = [load()] * cores if shared else [load() for _ in range(cores)]
    ids = np.random.default_rng(0).integers(5, 2000, dimensions.tokens(WORDS))
    feeds = dict(zip(INPUTS, (ids, np.array([0, len(ids)])), strict=True))

    def lane(index: int, texts: Queue[int]) -> None:
        if bound:
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[index]})
        while True:
            try:
                texts.get_nowait()
            except Empty:
                return
            sessions[index].run([OUTPUT], feeds)

    def score() -> float:
        texts: Queue[int] = Queue()
        for index in range(TEXTS):
            texts.put(index)
        lanes = [threading.Thread(target=lane, args=(index, texts)) for index in range(cores)]
        start = time.perf_counter()
        for thread in lanes:
            thread.start()
        for thread in lanes:
            thread.join()
        return time.perf_counter() - start

    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps([score(), psutil.Process().memory_info().rss]), flush=True)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", choices=dimensions.DIMENSIONS, default="large")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        path, *flags = options.worker
        return serve(Path(path), options.cores, *(flag == "True" for flag in flags))
    harness.pin(options.cores)
    model = dimensions.wordtell(options.dimensions)
    ways = list(product((True, False), repeat=3))
    found: dict[tuple[bool, ...], list[list[float]]] = {way: [] for way in ways}
    for turn in range(options.rounds + 1):
        for way in ways:
            command = [sys.executable, "-m", "benchmarks.lanes", "--cores", str(options.cores), "--worker", str(model)]
            with subprocess.Popen(
                [*command, *map(str, way)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            ) as worker:
                out, _ = worker.communicate("warm up\ngo\n")
            if turn:
                found[way].append(json.loads(out.splitlines()[-1]))
    entries = [
        {
            "session": "one" if shared else "one a lane",
            "spinning": spinning,
            "bound to cores": bound,
            "seconds": round(statistics.median(seconds for seconds, _ in rounds), 3),
            "resident_mb": round(statistics.median(rss for _, rss in rounds) / 1e6),
        }
        for (shared, spinning, bound), rounds in found.items()
    ]
    result = {
        "question": f"seconds for {TEXTS} texts of {WORDS} words on {options.cores} lanes, and resident memory",
        "dimensions": options.dimensions,
        "rounds": options.rounds,
        "ways": sorted(entries, key=lambda entry: entry["seconds"]),
    }
    harness.write("lanes", result)


if __name__ == "__main__":
    main()

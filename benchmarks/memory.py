"""How much memory does a lane use beyond the weights?

A process for each number of lanes loads the fused graph as the server does, then every lane runs windows of the longest
kind and packs of short ones at the same time. Peak resident memory (the system's own mark, set back after loading) less
that after loading, by lane. Prints the result, and writes it to benchmarks/results/memory.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil

from benchmarks import dimensions, harness
from bento import artifact
from bento.cpu import Plan
from bento.engines.fused import FusedRunner
from bento.settings import ROOT

LANES = (1, 2, 4, 8)
# What one run of the scheduler holds at most: a longest window, or short ones up to as many tokens.
RUNS = ((512,), (64,) * 8, (16,) * 32)
STATUS = Path("/proc/self/status")


def serve(model: Path, lanes: int, repeats: int) -> None:
    """Load, run all lanes at once, and print the resident MB after loading and at the peak since."""
    runner = FusedRunner(model / artifact.FUSED, Plan(lanes=1, threads_per_lane=1))
    loaded = psutil.Process().memory_info().rss / 1e6
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    random = np.random.default_rng(0)
    runs = [[random.integers(5, 2000, length) for length in lengths] for lengths in RUNS]
    together = threading.Barrier(lanes)

    def lane() -> None:
        for _ in range(repeats):
            for windows in runs:
                together.wait()
                runner.run(windows)

    threads = [threading.Thread(target=lane) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peak = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps([loaded, int(peak.split()[1]) * 1024 / 1e6]), flush=True)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", choices=dimensions.DIMENSIONS, default="large")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        path, lanes = options.worker
        return serve(Path(path), int(lanes), options.repeats)
    model, found = dimensions.wordtell(options.dimensions), []
    for lanes in LANES:
        command = [sys.executable, "-m", "benchmarks.memory", "--repeats", str(options.repeats), "--worker", str(model)]
        made = subprocess.run([*command, str(lanes)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        loaded, peak = json.loads(made.stdout.splitlines()[-1])
        a_lane = (peak - loaded) / lanes
        sizes = {"loaded_mb": loaded, "peak_mb": peak, "a_lane_mb": a_lane}
        found.append({"lanes": lanes, **{name: round(size, 1) for name, size in sizes.items()}})
    result = {
        "question": "resident MB with the weights loaded, at the peak of so many lanes, and what that is for each lane",
        "dimensions": options.dimensions,
        "longest_run_tokens": max(map(sum, RUNS)),
        "lanes": found,
    }
    harness.write("memory", result)


if __name__ == "__main__":
    main()

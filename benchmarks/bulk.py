"""Are the cores as busy in `wordtell batch` as when nothing but the model runs? And what memory does it take?

Speed, interleaved in one process: `engines` is what benchmarks/engines.py times (token ids that are there, through the
scheduler); `batch` reads the same texts from a JSON Lines file, tokenises, scores and writes shards. The cache is off.
Memory: a process of `wordtell batch - -` is fed generated rows through a pipe, each unlike the others; its resident
memory is read while it runs, beside that of the loaded model. The straight line through the readings of the second half
says how many bytes a row leaves behind, and scales the memory to ten million rows. Writes
benchmarks/results/bulk-<model>.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import dimensions, harness
from bento import settings
from bento.detector import Detector
from bento.detector.preparation import Request
from bento.settings import ROOT, ApiSettings, CpuSettings, ModelSettings, Settings
from bulk import commands

_READINGS = 100


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", choices=dimensions.DIMENSIONS, help="by default the embedded model")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=960, help="a round")
    parser.add_argument("--rows", type=int, default=200_000, help="through the pipe; 0: memory is not measured")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    harness.pin(options.cores)
    folder = Path(dimensions.wordtell(options.dimensions)) if options.dimensions else ROOT / "models" / "wordtell-small"
    result = {
        "question": "words a second of wordtell batch and of the model alone, and resident memory over many rows",
        "model": options.dimensions or folder.name,
        "cores": options.cores,
        "speed": speed(folder, options.cores, options.rounds, options.texts),
    }
    if options.rows:
        result["memory"] = memory(folder, options.rows)
    harness.write(f"bulk-{options.dimensions or 'embedded'}", result, options.results)


def passages(count: int) -> list[str]:
    """Of the example's 300 to 350 words each, no two the same."""
    given = json.loads((ROOT / "examples" / "test_120_sentences.json").read_text(encoding="utf-8"))
    texts: list[str] = next(iter(given.values()))
    return [f"{number} {text}" for number, text in zip(range(count), itertools.cycle(texts), strict=False)]


def speed(folder: Path, cores: int, rounds: int, count: int) -> dict[str, Any]:
    """Both ways in turn; the first round warms up."""
    made = Settings(
        model=ModelSettings(checkpoint_dir=folder), cpu=CpuSettings(lanes=cores), api=ApiSettings(cache_mb=0)
    )
    detector = Detector.load(made)
    texts = passages(count)
    words = sum(len(text.split()) for text in texts)
    ids = [_ids(detector, text) for text in texts]
    seconds: dict[str, list[float]] = {"engines": [], "batch": []}
    worked: dict[str, list[float]] = {"engines": [], "batch": []}
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "in.jsonl"
        source.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts)))
        for turn in range(rounds + 1):
            started, cpu = time.perf_counter(), time.process_time()
            for future in detector._scheduler.submit(ids):
                future.result()
            alone, alone_cpu = time.perf_counter() - started, time.process_time() - cpu
            order = commands.order(
                str(source), f"{place}/out{turn}", text=None, name=None, include="scores", kind=None,
                output_format="jsonl", rows=10_000,
            )  # fmt: skip
            started, cpu = time.perf_counter(), time.process_time()
            commands.run(order, detector, commands.sources(order))
            if turn:
                seconds["engines"].append(alone)
                seconds["batch"].append(time.perf_counter() - started)
                worked["engines"].append(alone_cpu)
                worked["batch"].append(time.process_time() - cpu)
    detector.close()
    rates = {name: round(words / statistics.median(values), 1) for name, values in seconds.items()}
    return {
        "texts": count,
        "words": words,
        "words_per_s": rates,
        "share": round(rates["batch"] / rates["engines"], 3),
        # Of the processor's time that a run takes, what the model takes by itself: other load does not change it.
        "cpu_share": round(statistics.median(worked["engines"]) / statistics.median(worked["batch"]), 3),
        "rounds_s": {name: [round(value, 3) for value in values] for name, values in seconds.items()},
    }


def _ids(detector: Detector, text: str) -> list[Any]:
    request = Request("", {text: "text"}, lambda: None, None, None)
    return list(detector._preparation.prepare(request, [text])[0].ids)


def memory(folder: Path, rows: int) -> dict[str, Any]:
    """Megabytes resident, by rows read; short rows, because it is their number that could pile up."""
    environment = os.environ | {settings.variable("model.checkpoint_dir"): str(folder)}
    command = [sys.executable, "-m", "bento.cli", "batch", "-", "-", "--include", "summary"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT)
    assert process.stdin  # noqa: S101 - a pipe, by its making
    assert process.stdout  # noqa: S101
    feed = threading.Thread(target=_feed, args=(process.stdin, rows), daemon=True)
    feed.start()
    watched, seen = psutil.Process(process.pid), 0
    readings: list[tuple[int, int]] = []
    for _ in process.stdout:
        seen += 1
        if seen % max(1, rows // _READINGS) == 0 and seen < rows:  # after the last one it may have ended
            readings.append((seen, watched.memory_info().rss))
    process.wait()
    feed.join()
    steady = np.array(readings[len(readings) // 2 :], dtype=float)
    left, begin = np.polyfit(steady[:, 0], steady[:, 1], 1)
    loaded = _loaded_mb(folder)
    return {
        "rows": seen,
        "resident_mb": {count: round(size / 1e6) for count, size in readings[:: _READINGS // 10]},
        "bytes_left_by_a_row": round(float(left), 2),
        "at_10_million_rows_mb": round((begin + max(left, 0.0) * 10_000_000) / 1e6),
        "loaded_mb": loaded,
        "bound_mb": loaded + 200,
    }


def _feed(pipe: Any, rows: int) -> None:
    chance = random.Random(0)  # noqa: S311 - no secret
    words = passages(1)[0].split()
    with pipe:
        for number in range(rows):
            text = " ".join(chance.choices(words, k=chance.randint(5, 15)))
            pipe.write(f"{json.dumps({'id': number, 'text': text})}\n".encode())


def _loaded_mb(folder: Path) -> int:
    """Of a process that has loaded the model, as the server's has, and scored once."""
    script = (
        "import os, psutil, service\nfrom bento import settings\nfrom bento.detector import Detector\n"
        "detector = Detector.load(settings.load().settings)\n"
        "print(psutil.Process().memory_info().rss, flush=True)\nos._exit(0)"
    )
    environment = os.environ | {settings.variable("model.checkpoint_dir"): str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return round(int(done.stdout.split()[-1]) / 1e6)


if __name__ == "__main__":
    main()

"""How fast is each engine with the same weights, texts and cores?

Every engine is a process of its own (benchmarks/worker.py), loaded once, and stopped while another is timed. Each round
times every engine on every set once; the result is the median of all rounds but the first. Weights are random, at the
true dimensions. Sets of equal texts are timed on a part of them, and scaled; the result says how many. Prints the
result, and writes it to benchmarks/results/engines-<dimensions>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import dimensions, harness, roofline
from benchmarks.dimensions import DIMENSIONS, TextSet
from benchmarks.worker import Order
from bento.settings import ROOT
from convert.dimensions import Dimensions

CLASSIC, OURS = "onnxruntime INT8, quantize_dynamic", "wordtell"
BATCHES = (1, 8)
Seconds = dict[tuple["Candidate", str], list[float]]


@dataclass(frozen=True)
class Candidate:
    """An engine at one of its settings. environment: a peer's own; None: the development environment."""

    name: str
    precision: str
    engine: str
    model: str  # the function in dimensions.py that makes it
    batch: int
    environment: str | None = None

    @property
    def setting(self) -> str:
        """For people."""
        if "PyTorch" in self.name:
            return "its scheduler, one lane of all cores"
        if self.name.startswith(OURS):
            return "its scheduler, one lane a core"
        if self.engine.endswith("lanes"):
            return "one text a lane, one lane a core"
        return "one text a stream" if self.engine.endswith("streams") else f"batches of {self.batch}"


def candidates() -> list[Candidate]:
    """Every engine, at each of the settings of which its best counts."""
    openvino = [("openvino", batch) for batch in BATCHES] + [("openvino streams", 1)]
    return [
        *(Candidate("torch eager", "fp32", "torch eager", "checkpoint", batch) for batch in BATCHES),
        *(Candidate("torch.compile", "fp32", "torch.compile", "checkpoint", batch) for batch in BATCHES),
        Candidate("onnxruntime FP32", "fp32", "onnxruntime", "stock", 32),
        Candidate(CLASSIC, "int8", "onnxruntime", "classic", 32),
        Candidate("onnxruntime INT8 in lanes, quantize_dynamic", "int8", "onnxruntime lanes", "classic", 1),
        *(Candidate("openvino FP32", "fp32", engine, "stock", batch, "openvino") for engine, batch in openvino),
        *(
            Candidate("openvino INT8, NNCF", "int8", engine, "openvino", batch, "openvino")
            for engine, batch in openvino
        ),
        Candidate("wordtell PyTorch", "fp32", "wordtell torch", "checkpoint", 1),
        Candidate("wordtell PyTorch, compiled", "fp32", "wordtell torch compiled", "checkpoint", 1),
        Candidate("wordtell portable", "int8", "wordtell portable", "wordtell", 1),
        Candidate("wordtell fused", "int8", "wordtell fused", "wordtell", 1),
    ]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", nargs="+", choices=DIMENSIONS, default=["small", "base", "large"])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", help="only those whose name begins so")
    parser.add_argument("--sets", nargs="+", choices=dimensions.text_sets())
    parser.add_argument("--quick", action="store_true", help="base dimensions, one round, two sets: minutes")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    if options.quick:
        options.dimensions, options.rounds = ["base"], 1
        options.sets = ["120 x 50 words", "1 x 20 words"]
    harness.pin(options.cores)
    chosen = [c for c in candidates() if not options.engines or c.name.startswith(tuple(options.engines))]
    for name in options.dimensions:
        sets = {key: value for key, value in dimensions.text_sets().items() if not options.sets or key in options.sets}
        harness.write(f"engines-{name}", measure(name, chosen, sets, options.cores, options.rounds), options.results)


def measure(
    name: str, chosen: Sequence[Candidate], sets: Mapping[str, TextSet], cores: int, rounds: int
) -> dict[str, Any]:
    """One run, everything interleaved."""
    size = DIMENSIONS[name]
    peaks = roofline.measure(cores, 0.5)
    workers = Workers(size, cores)
    times: Seconds = {}
    try:
        for candidate in chosen:
            workers.prepare(candidate, name)
        for turn in range(rounds + 1):
            for key, texts in sets.items():
                for candidate in chosen:
                    seconds = workers.time(candidate, texts.timed(candidate.batch))
                    if turn and seconds is not None:
                        times.setdefault((candidate, key), []).append(seconds)
        entries = {key: _entries(times, key, sets[key], size, peaks, workers) for key in sets}
    finally:
        workers.close()
    return {
        "question": "seconds for a set of texts, by engine, at its best setting",
        "dimensions": {"name": name, **asdict(size)},
        "weights": "random, seeded",
        "cores": cores,
        "rounds": rounds,
        "roofline_gops": peaks,
        "sets": entries,
        "failed": workers.failed,
        "versions": workers.versions,
    }


def _entries(
    times: Seconds, key: str, texts: TextSet, size: Dimensions, peaks: Mapping[str, Any], workers: Workers
) -> list[dict[str, Any]]:
    """One for each engine, at its best setting, with the seconds of all its settings."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (candidate, of), seconds in times.items():
        if of == key:
            entry = _entry(candidate, seconds, texts, size, peaks["all cores"], workers.peaks_mb[candidate])
            found.setdefault(candidate.name, []).append(entry)
    best = []
    for settings in found.values():
        first = min(settings, key=lambda entry: entry["seconds"])
        best.append({**first, "settings_s": {entry["setting"]: entry["seconds"] for entry in settings}})
    return _with_ratios(best)


def _with_ratios(best: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times as fast as the classic recipe, and as the best engine that is not ours."""
    classic = [entry["seconds"] for entry in best if entry["engine"] == CLASSIC]
    peers = [entry["seconds"] for entry in best if not entry["engine"].startswith(OURS)]
    for entry in best:
        entry["times_classic"] = round(classic[0] / entry["seconds"], 2) if classic else None
        entry["times_best_peer"] = round(min(peers) / entry["seconds"], 2) if peers else None
    return best


def _entry(
    candidate: Candidate,
    seconds: Sequence[float],
    texts: TextSet,
    size: Dimensions,
    peaks: Mapping[str, Any],
    peak_mb: int,
) -> dict[str, Any]:
    words = texts.timed(candidate.batch)
    median = statistics.median(seconds)
    tokens = [dimensions.tokens(count) for count in words]
    speed = sum(map(size.operations, tokens)) / median / 1e9
    return {
        "engine": candidate.name,
        "precision": candidate.precision,
        "setting": candidate.setting,
        "texts_timed": len(words),
        "scaled_to": texts.stands_for,
        "seconds": round(median * texts.stands_for / len(words), 4),
        "rounds_s": [round(value * texts.stands_for / len(words), 4) for value in seconds],
        "tokens_per_s": round(sum(tokens) / median, 1),
        "words_per_s": round(sum(words) / median, 1),
        "roofline_share": round(speed / peaks[candidate.precision][roofline.PROCESSOR], 3),
        "peak_mb": peak_mb,
    }


class Workers:
    """The processes of the engines. Those that wait are stopped by a signal, so that no thread of theirs can spin."""

    def __init__(self, size: Dimensions, cores: int) -> None:
        self.failed: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.peaks_mb: dict[Candidate, int] = {}
        self._size, self._cores = size, cores
        self._models: dict[Candidate, str] = {}
        self._running: dict[Candidate, subprocess.Popen[str]] = {}
        self._checkpoint_bytes = 0

    def prepare(self, candidate: Candidate, name: str) -> None:
        """Make the environment and the model."""
        self._checkpoint_bytes = (dimensions.checkpoint(name) / "model.safetensors").stat().st_size
        try:
            if candidate.environment:
                harness.environment(candidate.environment)
            self._models[candidate] = str(getattr(dimensions, candidate.model)(name))
        except (subprocess.CalledProcessError, OSError) as error:
            self._fail(candidate, f"{error}: {str(getattr(error, 'stderr', '') or '')[-500:]}")

    def time(self, candidate: Candidate, words: Sequence[int]) -> float | None:
        """Seconds for texts of so many words; None when this engine cannot."""
        if candidate not in self._models:
            return None
        if candidate not in self._running and not self._start(candidate):
            return None
        process = self._running[candidate]
        process.send_signal(signal.SIGCONT)
        lengths = [dimensions.tokens(count) for count in words]
        # A single short text takes milliseconds: the median of several.
        answers = [self._ask(candidate, process, lengths) for _ in range(9 if len(words) == 1 else 1)]
        process.send_signal(signal.SIGSTOP)
        seconds: list[float] = [answer["seconds"] for answer in answers if "seconds" in answer]
        if not seconds:
            self._fail(candidate, answers[0].get("failed", ""))
            return None
        self.peaks_mb[candidate] = max(answer["peak_mb"] for answer in answers if "peak_mb" in answer)
        return statistics.median(seconds)

    def close(self) -> None:
        """End them all."""
        for candidate in list(self._running):
            self._end(candidate)

    def _start(self, candidate: Candidate) -> bool:
        # A process needs up to about four times the checkpoint while it loads. The oldest processes are ended to make
        # room.
        while self._running and psutil.virtual_memory().available < 4 * self._checkpoint_bytes + (1 << 30):
            self._end(next(iter(self._running)))
        python = harness.environment(candidate.environment) if candidate.environment else Path(sys.executable)
        model = self._models[candidate]
        order = Order(candidate.engine, model, candidate.batch, self._cores, self._size.vocabulary)
        process = subprocess.Popen(
            [str(python), "-m", "benchmarks.worker", json.dumps(asdict(order))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(self._cores), "TOKENIZERS_PARALLELISM": "false"},
        )
        answer = self._answer(process)
        if "ready" not in answer:
            process.wait()
            self._fail(candidate, answer.get("failed", "the process died while loading"))
            return False
        self.versions |= answer["versions"]
        self._running[candidate] = process
        return True

    def _ask(self, candidate: Candidate, process: subprocess.Popen[str], lengths: list[int]) -> dict[str, Any]:
        assert process.stdin  # noqa: S101 - a pipe, by its making
        try:
            process.stdin.write(json.dumps({"lengths": lengths}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return {"failed": f"the process died: {candidate.name}"}
        return self._answer(process)

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
        lines: Iterator[str] = iter(process.stdout or ())
        answer: dict[str, Any] = json.loads(next(lines, '{"failed": "the process died"}'))
        return answer

    def _end(self, candidate: Candidate) -> None:
        process = self._running.pop(candidate)
        process.kill()  # a stopped process does not receive SIGTERM
        process.wait()

    def _fail(self, candidate: Candidate, reason: str) -> None:
        """Reported once, and not tried again."""
        self.failed[f"{candidate.name}, {candidate.setting}"] = reason.replace(f"{ROOT}/", "")
        self._models.pop(candidate, None)
        if candidate in self._running:
            self._end(candidate)


if __name__ == "__main__":
    main()

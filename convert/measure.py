"""A model folder measured as it will be served, by a process of its own that has no torch and gives its memory back.

    python -m convert.measure FOLDER < texts.json

prints a dot a window, then one line of JSON: a Measurement.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bento import artifact, cpu
from bento.artifact import Manifest
from bento.detector import Detector
from bento.runners import Runner
from bento.runners.onnx import OnnxRunner
from bento.settings import ApiSettings, CpuSettings, ModelSettings, Settings
from bento.tokenizer import Tokenizer
from bento.types import FloatArray, MicroBatch, Window
from bento.words import positive_probability

# What is printed after each window.
PROGRESS = "."
# Padded rows of a batch, in tokens. INT8 activations share one scale, so neighbours show here if anywhere.
PADDED_TOKENS = (8, 24, 60)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one engine answered, and how it behaved.

    probabilities: of each text, one a word. seconds: for all texts, asked at once.
    neighbours: largest difference of a word's probability when its text is asked alone.
    padded: largest difference of a token's probability when its text is a row of a padded batch (serving runs none).
    memory_mb: the most that the process held, in MB. size_mb: of the files that serving reads, in MB.
    """

    probabilities: list[list[float]]
    seconds: float
    neighbours: float
    padded: float
    memory_mb: float
    size_mb: float

    @property
    def flat(self) -> FloatArray:
        """The probabilities of all texts' words, [words]."""
        return np.concatenate([np.asarray(values, np.float32) for values in self.probabilities])


def settings_for(folder: Path, manifest: Manifest) -> Settings:
    """The defaults, without a cache, and with windows as long as the model allows."""
    longest = manifest.max_tokens
    return Settings(
        model=ModelSettings(checkpoint_dir=folder, window_overlap=min(64, longest // 4)),
        api=ApiSettings(cache_mb=0, max_batch_tokens=max(4096, longest)),
    )


def measure(folder: Path, texts: Sequence[str], on_window: Callable[[], None] = lambda: None) -> Measurement:
    """Score the texts with what serves them. Raises ArtifactError when it cannot."""
    loaded = artifact.load(folder)
    plan = cpu.plan(cpu.detect(), CpuSettings())
    runner = OnnxRunner(loaded, plan.threads_per_lane)
    detector = Detector(loaded, runner, settings_for(folder, loaded.manifest), plan.lanes)
    try:
        detector.warm_up()
        together, seconds = score(detector, texts, on_window)
        alone = [score(detector, [text], on_window)[0][0] for text in texts]
    finally:
        detector.close()
    neighbours = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(together, alone, strict=True))
    return Measurement(
        probabilities=[[float(value) for value in values] for values in together],
        seconds=seconds,
        neighbours=neighbours,
        padded=_padded(runner, Tokenizer(loaded.tokenizer), loaded.manifest, " ".join(texts)),
        memory_mb=_peak_memory() / 1e6,
        size_mb=sum(record.bytes for record in loaded.manifest.files.values()) / 1e6,
    )


def score(
    detector: Detector, texts: Sequence[str], on_window: Callable[[], None]
) -> tuple[tuple[FloatArray, ...], float]:
    """Probabilities of every text's words, and the seconds that it took."""
    start = time.perf_counter()
    scores = asyncio.run(detector.score(texts, on_window))
    return scores.words, time.perf_counter() - start


def _padded(runner: Runner, tokenizer: Tokenizer, manifest: Manifest, text: str) -> float:
    encoding = tokenizer.encode(text)
    lengths = [min(length, manifest.max_tokens - tokenizer.special_tokens, len(encoding)) for length in PADDED_TOKENS]
    rows = [tokenizer.batch(encoding, Window(0, length)).input_ids[0] for length in lengths]
    ids, mask = (np.zeros((len(rows), max(map(len, rows))), dtype=np.int64) for _ in range(2))
    for index, row in enumerate(rows):
        ids[index, : len(row)], mask[index, : len(row)] = row, 1
    together = runner.run(MicroBatch(ids, mask))
    gaps = []
    for row, batched in zip(rows, together, strict=True):
        alone = runner.run(MicroBatch(row[None], np.ones_like(row)[None]))[0]
        pair = (positive_probability(logits, manifest.positive_index) for logits in (alone, batched[: len(row)]))
        gaps.append(float(np.abs(np.subtract(*pair)).max()))
    return max(gaps)


def _peak_memory() -> int:
    """Bytes. Linux's own count starts with the program; getrusage's is inherited from whoever started it."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """See the module."""
    found = measure(Path(sys.argv[1]), json.load(sys.stdin), on_window=lambda: print(PROGRESS, flush=True))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()

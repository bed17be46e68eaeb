"""Measures a model folder as it will be served, in a process of its own without torch, whose memory is freed at its
end.

    python -m convert.measure FOLDER FIRST [--fused] < texts.json

prints a dot a window, then one line of JSON: a Measurement. The first FIRST texts are timed, and
asked alone too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bento import artifact, cpu, memory
from bento.artifact import Manifest
from bento.detector import Detector
from bento.engines import Batching, Runner
from bento.engines.fused import FusedRunner
from bento.engines.onnx import OnnxRunner
from bento.errors import ArtifactError
from bento.settings import ApiSettings, CpuSettings, ModelSettings, Settings
from bento.text.tokenizer import Tokenizer
from bento.text.words import positive_probability
from bento.types import FloatArray, Window

# What is printed after each window.
PROGRESS = "."
# Windows of a run, in tokens: of very different lengths, so that padding and packing matter.
TOGETHER = (8, 24, 60)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The scores of one engine, and its costs.

    variant: what of engine and processor changes scores, like fused.avx512vnni.
    probabilities: of each text, one a word. seconds: for the first texts, asked at once; words: how many they have.
    neighbours: largest difference of a probability when its text is asked alone, or its window shares a run.
    memory_mb: the most that the process held, in MB. size_mb: of the files that serving reads, in MB.
    """

    variant: str
    probabilities: list[list[float]]
    seconds: float
    words: int
    neighbours: float
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


def measure(folder: Path, texts: Sequence[str], first: int, on_window: Callable[[], None], fused: bool) -> Measurement:
    """Score the texts with what serves them: the fused graph or the portable one. Raises ArtifactError.

    first: how many of the texts are timed, and asked alone too.
    """
    loaded = artifact.load(folder)
    plan = cpu.plan(cpu.detect(), CpuSettings())
    if not fused:
        runner: Runner = OnnxRunner(loaded, plan.threads_per_lane, plan.lanes)
    elif loaded.fused is not None:
        runner = FusedRunner(loaded.fused, plan)
    else:
        raise ArtifactError(folder, "has no fused graph")
    detector = Detector(loaded, runner, settings_for(folder, loaded.manifest))
    try:
        detector.warm_up()
        together, seconds = score(detector, texts[:first], on_window)
        alone = [score(detector, [text], on_window)[0][0] for text in texts[:first]]
        others = score(detector, texts[first:], on_window)[0]
    finally:
        detector.close()
    neighbours = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(together, alone, strict=True))
    apart = _apart(runner, Tokenizer(loaded.tokenizer), loaded.manifest, " ".join(texts[:first]))
    return Measurement(
        variant=runner.abilities.variant,
        probabilities=[[float(value) for value in values] for values in (*together, *others)],
        seconds=seconds,
        words=sum(map(len, together)),
        neighbours=max(neighbours, apart),
        memory_mb=memory.peak() / 1e6,
        size_mb=sum(record.bytes for record in loaded.manifest.files.values()) / 1e6,
    )


def score(
    detector: Detector, texts: Sequence[str], on_window: Callable[[], None]
) -> tuple[tuple[FloatArray, ...], float]:
    """Probabilities of every text's words, and the seconds that it took."""
    start = time.perf_counter()
    scores = asyncio.run(detector.score(texts, on_window))
    return scores.words, time.perf_counter() - start


def _apart(runner: Runner, tokenizer: Tokenizer, manifest: Manifest, text: str) -> float:
    """Largest difference of a token's probability between a shared run and windows that run alone."""
    if runner.abilities.batching is Batching.SINGLE:
        return 0.0
    encoding = tokenizer.encode(text)
    lengths = [min(length, manifest.max_tokens - tokenizer.special_tokens, len(encoding)) for length in TOGETHER]
    batch = [tokenizer.ids(encoding, Window(0, length)) for length in lengths]
    gaps = []
    for ids, together in zip(batch, runner.run(batch), strict=True):
        pair = (
            positive_probability(logits, manifest.positive_indices, manifest.activation)
            for logits in (runner.run([ids])[0], together)
        )
        gaps.append(float(np.abs(np.subtract(*pair)).max()))
    return max(gaps)


def main() -> None:
    """See the module."""
    texts = json.load(sys.stdin)
    folder, first = Path(sys.argv[1]), int(sys.argv[2])
    found = measure(folder, texts, first, lambda: print(PROGRESS, flush=True), fused="--fused" in sys.argv)
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()

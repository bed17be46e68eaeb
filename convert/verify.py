"""Does a written folder answer as the checkpoint does? Word by word, through bento, as it will be served."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from bento import artifact
from bento.detector import Detector
from bento.runners import Batching
from bento.settings import ROOT
from bento.types import FloatArray, IntArray
from convert.errors import VerificationError
from convert.figures import Array, Figures, auroc, rank_correlation
from convert.measure import PROGRESS, Measurement, score, settings_for
from convert.texts import Text


@dataclass(frozen=True)
class Reference:
    """What PyTorch says in FP32: of each text, one probability a word; seconds and windows for all of them."""

    texts: tuple[Text, ...]
    probabilities: tuple[FloatArray, ...]
    seconds: float
    windows: int

    @property
    def flat(self) -> Array:
        """[words], of all texts."""
        return np.concatenate(self.probabilities)

    @property
    def words_per_s(self) -> float:
        """PyTorch's speed."""
        return len(self.flat) / self.seconds


def reference(folder: Path, model: Any, texts: tuple[Text, ...], on_window: Callable[[], None]) -> Reference:
    """Ask the checkpoint itself. Of `folder` only the tokenizer and the manifest are used."""
    loaded = artifact.load(folder)
    detector = Detector(loaded, TorchRunner(model), settings_for(folder, loaded.manifest), lanes=1)
    try:
        windows = sum(detector.count_windows(text.text) for text in texts)
        return Reference(texts, *score(detector, [text.text for text in texts], on_window), windows)
    finally:
        detector.close()


class TorchRunner:
    """A bento.runners.Runner."""

    engine = variant = "pytorch"
    batching = Batching.SINGLE

    def __init__(self, model: Any) -> None:
        """`model`: a token classifier of transformers, on the CPU."""
        self._model = model

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        """See bento.runners.Runner."""
        with torch.inference_mode():
            return [cast(FloatArray, self._model(torch.from_numpy(ids)[None]).logits[0].numpy()) for ids in windows]


def measure(
    folder: Path, texts: Sequence[Text], on_window: Callable[[], None] = lambda: None, fused: bool = False
) -> Measurement:
    """`convert.measure` in a process of its own, of one of the two graphs. Raises VerificationError when it cannot."""
    # `-m` finds a package in the working directory first, so this very tree.
    command = [sys.executable, "-m", "convert.measure", str(folder.resolve()), *(["--fused"] if fused else [])]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as given,
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
    ):
        json.dump([text.text for text in texts], given)
        given.seek(0)
        with subprocess.Popen(command, cwd=ROOT, stdin=given, stdout=subprocess.PIPE, stderr=errors) as process:
            last = b""
            try:
                for line in process.stdout or ():
                    last = line.strip()
                    if last == PROGRESS.encode():
                        on_window()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            reason = (errors.read().strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise VerificationError(folder.name, f"it cannot be served ({reason})")
    return Measurement(**json.loads(last))


def compare(expected: Reference, found: Measurement, threshold: float, fp32_share: float) -> Figures:
    """The figures that come of two answers."""
    theirs, ours = expected.flat, found.flat
    gap = np.abs(theirs - ours)
    known = [(text.labels, len(values)) for text, values in zip(expected.texts, expected.probabilities, strict=True)]
    labelled = np.concatenate([np.full(count, labels is not None) for labels, count in known])
    truth = np.concatenate([np.asarray(labels or (), dtype=bool) for labels, _ in known])
    return Figures(
        words=len(gap),
        max_dp=float(gap.max()),
        mean_dp=float(gap.mean()),
        p999_dp=float(np.quantile(gap, 0.999)),
        flips=float(((theirs >= threshold) != (ours >= threshold)).mean()),
        rank=rank_correlation(theirs, ours),
        neighbours=found.neighbours,
        words_per_s=len(gap) / found.seconds,
        memory_mb=found.memory_mb,
        size_mb=found.size_mb,
        fp32_share=fp32_share,
        auroc=auroc(ours[labelled], truth),
        torch_auroc=auroc(theirs[labelled], truth),
    )

"""A token classifier with real weights: the packaged MiniLM (BERT, 6 x 384), fine-tuned on the addresses of train/.

Its pretrained weights have the outlier channels that random ones lack. Made once, in minutes, under build/benchmarks.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from benchmarks.harness import BUILD
from train.corpus import by_split
from train.dataset import Composer, Example
from train.generate import load
from train.teacher import Tuning, pretrained, tune

__all__ = ["checkpoint", "pretrained"]

STEPS, TOGETHER, SEED = 200, 8, 11


def checkpoint(steps: int = STEPS) -> Path:
    """The folder of the fine-tuned checkpoint. Raises Unfit where a package is missing."""
    out = BUILD / f"minilm-{steps}"
    if not (out / "done").exists():
        shutil.rmtree(out, ignore_errors=True)
        documents = by_split("train")
        composer = Composer(documents, load(documents), transplant=True)

        def examples(step: int) -> list[Example]:
            draw = random.Random(f"{SEED}-{step}")  # noqa: S311 - what to learn from is no secret
            return [composer.compose(draw) for _ in range(TOGETHER)]

        tune(examples, Tuning(steps=steps, each=TOGETHER, seed=SEED, check_every=steps, patience=steps), out)
        (out / "done").touch()
    return out

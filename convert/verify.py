"""Does the written folder answer as the checkpoint does? Measured through bento, as it will be served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bento import artifact, words
from bento.artifact import Precision
from bento.runners.onnx import OnnxRunner
from bento.tokenizer import Tokenizer
from bento.types import Window
from convert.errors import VerificationError

# Largest difference of a probability that is rounding alone. INT8 has no such bound: it is measured and told.
LIMITS: dict[Precision, float] = {"fp32": 1e-4, "int8": float("inf")}

_SENTENCE = "The committee met on Tuesday, and after a long debate it agreed to postpone the vote until spring. "
TEXTS = (
    "Yes",
    "Who wrote this?",
    _SENTENCE,
    "Prices rose by 3.7 % — “a surprise”, said the minister; naïve models (and others) had missed it 😀.",
    _SENTENCE * 4,
    _SENTENCE * 40,
)


@dataclass(frozen=True)
class Comparison:
    """How far the probabilities of single tokens are from PyTorch's, over `tokens` tokens."""

    tokens: int
    largest: float
    mean: float


def compare(folder: Path, model: Any) -> Comparison:
    """Score built-in texts of many lengths with both. Raises VerificationError; ArtifactError if it is not whole."""
    loaded = artifact.load(folder)
    manifest = loaded.manifest
    tokenizer = Tokenizer(loaded.tokenizer)
    runner = OnnxRunner(loaded, threads=torch.get_num_threads())
    differences = []
    for text in TEXTS:
        encoding = tokenizer.encode(text)
        window = Window(0, min(len(encoding), manifest.max_tokens - tokenizer.special_tokens))
        batch = tokenizer.batch(encoding, window)
        with torch.inference_mode():
            ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
            expected = model(input_ids=ids, attention_mask=mask).logits[0].numpy()
        rows = (
            words.positive_probability(logits, manifest.positive_index) for logits in (expected, runner.run(batch)[0])
        )
        differences.append(np.abs(np.subtract(*rows)))
    gap = np.concatenate(differences)
    comparison = Comparison(len(gap), float(gap.max()), float(gap.mean()))
    limit = LIMITS[manifest.precision]
    if not comparison.largest <= limit:  # so that NaN fails too
        raise VerificationError(manifest.precision, comparison.largest, limit)
    return comparison

"""FP16, compared with FP32 before it serves."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch

from bento.artifact import Manifest
from bento.checkpoint.reading import Checkpoint
from bento.errors import ConfigError
from bento.text.words import positive_probability

# Largest difference of a token's probability, over the texts below. Rounding to 11 bits gives about a tenth of it.
LIMIT = 0.01
TEXTS = (
    "The committee met on Tuesday, and after a long debate it agreed to postpone the vote.",
    "Who wrote this?",
    "In conclusion, it is important to note that there are many factors to consider. " * 12,
)


def verified(model: Any, device: torch.device, checkpoint: Checkpoint, manifest: Manifest) -> Any:
    """The model in FP16. Raises ConfigError, with the figure, where its answers are not those of FP32."""
    fast = copy.deepcopy(model).half()
    worst = 0.0
    for text in TEXTS:
        ids = torch.tensor([checkpoint.encode(text)[: manifest.max_tokens]], device=device)
        with torch.inference_mode():
            both = [each(input_ids=ids).logits[0].float().cpu().numpy() for each in (model, fast)]
        one, other = (positive_probability(found, manifest.positive_indices, manifest.activation) for found in both)
        difference = float(abs(one - other).max())
        worst = max(worst, float("inf") if math.isnan(difference) else difference)
    if worst > LIMIT:
        fault = f"{Path(checkpoint.source).name}: FP16 changes a probability by {worst:.3f}, the limit is {LIMIT}"
        raise ConfigError(f"{fault}; set api.use_fp16 to false", "api.use_fp16")
    return fast

"""DeBERTa on GPUs through `disentangled-flash`, packed, if that is installed. This has not run on a GPU yet."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import torch

Packed = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
PACKAGE = "disentangled_flash"


def optimised(model: Any, device: torch.device) -> Packed | None:
    """tokens [tokens], boundaries [windows + 1], longest -> logits [tokens, labels]; None where it does not apply."""
    if device.type != "cuda" or model.config.model_type != "deberta-v2" or not importlib.util.find_spec(PACKAGE):
        return None
    importlib.import_module(PACKAGE).optimize_deberta(model.deberta)
    # It leaves encoders of unknown shapes unchanged.
    return packed(model) if hasattr(model.deberta.encoder, "forward_packed") else None


def packed(model: Any) -> Packed:
    """A DeBERTa whose encoder has `forward_packed`, as a function of windows end to end."""

    def forward(tokens: torch.Tensor, boundaries: torch.Tensor, longest: int) -> torch.Tensor:
        lengths = boundaries.diff()
        starts = torch.repeat_interleave(boundaries[:-1], lengths)
        positions = torch.arange(len(tokens), device=tokens.device) - starts
        embedded = model.deberta.embeddings(
            input_ids=tokens[None], position_ids=positions[None].long(), mask=torch.ones_like(tokens)[None]
        )
        hidden = model.deberta.encoder.forward_packed(
            embedded[0], boundaries, max_seqlen=longest, output_hidden_states=False
        )
        logits: torch.Tensor = model.classifier(hidden.last_hidden_state)
        return logits

    return forward

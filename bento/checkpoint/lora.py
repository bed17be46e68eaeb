"""A LoRA adapter (Hu et al. 2021, https://arxiv.org/abs/2106.09685) as PEFT saves it, merged into its base model.

W' = W + s B A with A [rank, in], B [out, rank] and s = alpha / rank, or alpha / sqrt(rank) for rank-stabilised ones
(Kalajdzievski 2023, https://arxiv.org/abs/2312.03732). Weights that training replaced (the head) come beside them.
Unknown settings and weights raise CheckpointError, because a partial merge would be another model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from bento.checkpoint.errors import CheckpointError
from bento.checkpoint.files import genuine, whole
from bento.checkpoint.names import Lora


@dataclass(frozen=True)
class Adapter:
    """An adapter that can be merged. base: where its configuration says that the base model is.

    pairs: name of a base weight -> its A and B. whole: name of a weight -> what takes its place.
    """

    folder: Path
    base: str
    config: Mapping[str, Any]
    pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
    whole: Mapping[str, torch.Tensor]

    @property
    def num_labels(self) -> int | None:
        """Outputs of the head that it brings, if it brings one."""
        head = self.whole.get(Lora.head)
        return None if head is None else len(head)

    def merge(self, model: Any) -> None:
        """Change the model's weights in place. Raises CheckpointError when they are not those it was trained on."""
        weights = dict(model.named_parameters())
        for name, (a, b) in self.pairs.items():
            weight = weights.get(name)
            if weight is None or weight.shape != (len(b), a.shape[1]) or b.shape[1] != len(a):
                raise self._stranger(name)
            weight.data += self._scale(name.removesuffix(".weight"), len(a)) * (b.float() @ a.float())
        for name, value in self.whole.items():
            if name not in weights or weights[name].shape != value.shape:
                raise self._stranger(name)
            weights[name].data.copy_(value)

    def _scale(self, module: str, rank: int) -> float:
        patterns = self.config.get("alpha_pattern") or {}
        own = (alpha for pattern, alpha in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", module))
        alpha = float(next(own, self.config.get("lora_alpha", 8)))
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def _stranger(self, name: str) -> CheckpointError:
        fault = f"its weight {name} does not fit the base model {self.base}"
        return CheckpointError(self.folder, fault, "give --base the model that it was trained on")


def read(folder: Path) -> Adapter | None:
    """The adapter in a folder; None when there is none. Raises CheckpointError, naming what cannot be merged."""
    path = genuine(folder / Lora.config)
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_bytes())
        kind = config["peft_type"]
        base = str(config.get("base_model_name_or_path") or "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(path, "is no configuration of an adapter", "save the adapter again") from None
    remedy = "merge it into its base model first (peft: merge_and_unload, then save_pretrained)"
    if kind != "LORA":
        raise CheckpointError(folder, f"an adapter of the kind {kind} cannot be merged here, only LORA can", remedy)
    if unusual := sorted(name for name in Lora.refused if config.get(name)):
        raise CheckpointError(folder, f"a LoRA adapter with {', '.join(unusual)} cannot be merged here", remedy)
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start not in Lora.plain_starts:
        fault = f"a LoRA adapter that began as {start} changed its base model, so it cannot be merged here"
        raise CheckpointError(folder, fault, remedy)
    pairs, whole = _sort(folder, _weights(folder), remedy)
    return Adapter(folder, base, config, pairs, whole)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    try:
        for path in (genuine(folder / name) for name in Lora.weights):
            if path.is_file():
                whole(path)
                if path.suffix == ".safetensors":
                    return safetensors.torch.load_file(path)
                found: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
                return found
    except CheckpointError:
        raise
    except Exception as error:  # SafetensorError, UnpicklingError, OSError ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(folder, f"its adapter's weights cannot be loaded ({reason})", "save it again") from None
    raise CheckpointError(folder, f"has none of {', '.join(Lora.weights)}", "copy the adapter's folder again")


def _sort(
    folder: Path, weights: Mapping[str, torch.Tensor], remedy: str
) -> tuple[dict[str, tuple[torch.Tensor, torch.Tensor]], dict[str, torch.Tensor]]:
    """Pairs of A and B, and whole weights, by the base model's names."""
    plain = {name.removeprefix(Lora.prefix).replace(Lora.saved, "."): value for name, value in weights.items()}
    for name, value in plain.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(folder, f"the weight {name} holds NaN or infinity", "use an earlier checkpoint")
    pairs = {}
    for module in sorted(name.removesuffix(Lora.a) for name in plain if name.endswith(Lora.a)):
        pair = plain.pop(module + Lora.a), plain.pop(module + Lora.b, torch.zeros(0))
        if any(part.dim() != 2 for part in pair):
            raise CheckpointError(folder, f"the adapter's weights of {module} are not two matrices", remedy)
        pairs[f"{module}.weight"] = pair
    if strange := sorted(name for name in plain if Lora.mark in name):
        raise CheckpointError(folder, f"the adapter's weight {strange[0]} cannot be merged here", remedy)
    return pairs, plain

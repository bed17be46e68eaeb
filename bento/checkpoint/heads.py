"""The head of a checkpoint: one linear layer, or two. Other heads raise CheckpointError."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bento.checkpoint import names
from bento.checkpoint.errors import CheckpointError
from bento.checkpoint.names import HeadActivation

_ACTIVATIONS = {
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
    "tanh": torch.tanh,
}
_KINDS = f"{', '.join(_ACTIVATIONS)} or none"
# How many names an error lists.
_LISTED = 5


class Mlp(torch.nn.Module):
    """A linear layer, an activation, and the linear layer that gives the logits. Dropout does nothing in serving."""

    def __init__(self, dense: torch.nn.Linear, activation: HeadActivation, out_proj: torch.nn.Linear) -> None:
        super().__init__()
        self.dense = dense
        self.out_proj = out_proj
        self.kind = activation

    def forward(self, hidden: torch.Tensor) -> Any:
        """[..., hidden] -> [..., labels]"""
        inner = self.dense(hidden)
        return self.out_proj(inner if self.kind == "none" else _ACTIVATIONS[self.kind](inner))


@dataclass(frozen=True)
class TwoLayers:
    """A head of two linear layers that was found: their names, and what the names say of the activation between."""

    first: str
    second: str
    usual: HeadActivation | None

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of all its weights."""
        return tuple(f"{layer}.{part}" for layer in (self.first, self.second) for part in ("weight", "bias"))

    def build(
        self, folder: Path, weights: Mapping[str, torch.Tensor], config: Any, asked: HeadActivation | None
    ) -> Mlp:
        """The module. Raises CheckpointError when the activation is not known, or the layers do not fit together."""
        kind = asked or self.usual
        if kind is None:
            fault = f"its head is two linear layers ({self.first}, {self.second}) with a function between them"
            remedy = f"no file says which, so give --head-activation {_KINDS}, as it was trained"
            raise CheckpointError(folder, fault, remedy)
        first, first_bias, second, second_bias = (weights[name].float() for name in self.weights)
        inner = len(first_bias)
        wanted = ((inner, config.hidden_size), (inner,), (config.num_labels, inner), (config.num_labels,))
        for name, shape in zip(self.weights, wanted, strict=True):
            if tuple(weights[name].shape) != shape:
                raise misshapen(folder, name, tuple(weights[name].shape), shape)
        return Mlp(_linear(first, first_bias), kind, _linear(second, second_bias))


def two_layers(spare: Collection[str], missing: Collection[str], model_type: str) -> TwoLayers | None:
    """A head of two linear layers among the weights that the stock class has no place for, if there is one.

    spare: their names, of the architecture `model_type`. missing: names of the stock class's that are not there.
    """
    for (first, second), usual in names.HEADS.items():
        found = TwoLayers(first, second, usual.get(model_type))
        # The stock class has a place for the weights of a layer that is called classifier.
        taken = set(names.ONE_LAYER) - set(missing) if second == "classifier" else set()
        if set(found.weights) <= taken | set(spare):
            return found
    places: dict[str, list[int]] = {}
    for name in spare:
        if match := re.fullmatch(r"(\w+)\.(\d+)\.weight", name):
            places.setdefault(match[1], []).append(int(match[2]))
    for sequential, numbers in places.items():  # a torch.nn.Sequential; of another name only in place of a classifier
        if len(numbers) == 2 and set(names.ONE_LAYER) <= set(missing):
            first, second = (f"{sequential}.{number}" for number in sorted(numbers))
            found = TwoLayers(first, second, None)
            if set(found.weights) <= set(spare):
                return found
    return None


def no_more_than(folder: Path, classes: Collection[str], spare: Collection[str]) -> None:
    """Raises CheckpointError for weights that would be left out, naming them and the class.

    classes: the `architectures` of the configuration. spare: names of weights that nothing here computes with.
    """
    stock = set(names.ARCHITECTURES.values())
    strange = sorted(set(classes) - stock)
    left = sorted(name for name in spare if not names.HARMLESS.fullmatch(name))
    if left:
        fault = f"has weights that are not computed here: {listed(left)}"
        if strange:
            fault = f"is a {', '.join(strange)} and {fault}"
        remedy = "a head has to be one linear layer, or two with an activation between them"
        raise CheckpointError(folder, fault, f"fine-tune it without them: {remedy}")
    if strange:
        fault = f"is a {', '.join(strange)}, a class of its own that may compute more than its weights tell"
        remedy = f"if it is one linear layer on the last hidden state, write one of {', '.join(sorted(stock))}"
        raise CheckpointError(folder, fault, f"{remedy} into architectures in {names.CONFIG}")


def misshapen(folder: Path, name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> CheckpointError:
    """The error for a weight that is not as big as the configuration says."""
    fault = f"its weight {name} has the shape {list(found)}, where {names.CONFIG} asks for {list(wanted)}"
    return CheckpointError(folder, fault, f"give the {names.CONFIG} and id2label that it was trained with")


def listed(weights: Collection[str]) -> str:
    """Some names of weights, and how many more there are."""
    some = ", ".join(sorted(weights)[:_LISTED])
    return some if len(weights) <= _LISTED else f"{some} and {len(weights) - _LISTED} more"


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = weight.contiguous(), bias.contiguous()
    return layer

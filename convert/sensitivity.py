"""Ranks MatMuls by their error in INT8: each is quantised alone, in PyTorch, and the mean change of the output counts.

Outliers cause the error. Example: one channel of activations a hundred times larger than the others leaves them 2 or 3
of 256 levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from bento.types import FloatArray
from convert.smoothing import narrowed, rounded

Positive = Callable[[FloatArray], FloatArray]
# The estimate adds errors as if they were independent, which they are not quite.
SAFETY = 2.0
# Texts that are measured on: many for a small model, four for one of 300 million weights, where each takes seconds.
LEAST_TEXTS, MOST_TEXTS = 4, 32
_WORK = 1_200_000_000


def texts_for(sizes: Mapping[str, int]) -> int:
    """How many texts to measure on, given how many numbers each weight has: a large model takes longer for each."""
    return min(MOST_TEXTS, max(LEAST_TEXTS, _WORK // max(1, sum(sizes.values()))))


def measure(
    model: Any,
    texts: Sequence[list[int]],
    positive: Positive,
    products: Mapping[str, Any],
    on_product: Callable[[], None],
) -> dict[str, float]:
    """Mean |dp| of all tokens when the MatMul with each weight of `products`, alone, is computed as INT8 does.

    texts: the ids of each, run one after another, so that memory does not grow with them.
    products: of each weight what its input is multiplied by first, as convert/smoothing.py found it, or None.
    positive: logits [tokens, labels] -> probability [tokens] that a machine wrote the token.
    A weight that PyTorch does not know as one of a Linear has 0: it is never kept.
    """
    errors = dict.fromkeys(products, 0.0)
    count = sum(map(len, texts))
    for ids in texts:
        for name, error in _measure(model, ids, positive, products, on_product).items():
            errors[name] += error * len(ids) / count
    return errors


def _measure(
    model: Any,
    ids: list[int],
    positive: Positive,
    products: Mapping[str, Any],
    on_product: Callable[[], None],
) -> dict[str, float]:
    row = torch.tensor([ids])
    layers = _layers(model)

    def probability() -> torch.Tensor:
        logits = model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0]
        return torch.from_numpy(positive(logits.numpy())).double()

    errors = dict.fromkeys(products, 0.0)
    with torch.inference_mode(), _relative_positions_kept(model, len(ids)):
        outputs, exact = _record(layers, probability)
        for name, module in model.named_modules():
            weight = f"{name}.weight"
            if weight not in errors or not isinstance(module, torch.nn.Linear):
                continue
            inside = [layer for layer in layers if any(part is module for part in layer.modules())]
            before = layers[: layers.index(inside[0])] if inside else []
            with _replayed(before, outputs), _quantised(module, len(ids), products[weight]):
                errors[weight] = float((probability() - exact).abs().mean())
            on_product()
    return errors


def exact(errors: Mapping[str, float], sizes: Mapping[str, int], mean_dp: float, max_share: float) -> tuple[str, ...]:
    """The weights to leave in FP32, worst first: as few as keep the estimated error of all others within `mean_dp`.

    The estimate is the root of the sum of squares. At most `max_share` of all weights; sizes: how many each has.
    """
    kept: list[str] = []
    room = max_share * sum(sizes.values())
    for name in sorted(errors, key=lambda name: -errors[name]):
        rest = math.sqrt(sum(error**2 for other, error in errors.items() if other not in kept))
        if rest * SAFETY <= mean_dp:
            break
        if sizes[name] <= room:
            kept.append(name)
            room -= sizes[name]
    return tuple(kept)


def _layers(model: Any) -> list[Any]:
    """The encoder's layers, in the order in which they run; none where they are not found, which costs only time."""
    count = model.config.num_hidden_layers
    lists = (module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == count)
    return list(next(lists, ()))


def _record(layers: list[Any], run: Callable[[], torch.Tensor]) -> tuple[dict[Any, Any], torch.Tensor]:
    outputs: dict[Any, Any] = {}
    with ExitStack() as stack:
        for layer in layers:
            hook = layer.register_forward_hook(lambda layer, _inputs, output: outputs.update({layer: output}))
            stack.callback(hook.remove)
        return outputs, run()


@contextmanager
def _replayed(layers: list[Any], outputs: Mapping[Any, Any]) -> Iterator[None]:
    """Layers before the one in question return their earlier results, without computing them."""
    for layer in layers:
        layer.forward = lambda *_inputs, _output=outputs[layer], **_others: _output
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


@contextmanager
def _relative_positions_kept(model: Any, length: int) -> Iterator[None]:
    """DeBERTa's Linears project its relative positions too, the same on every run: half of the work, done once."""
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]

    def forward(module: torch.nn.Linear, known: list[torch.Tensor], value: torch.Tensor) -> torch.Tensor:
        if value.shape[-2] != length and known:
            return known[0]
        result = torch.nn.functional.linear(value, module.weight, module.bias)
        if value.shape[-2] != length:
            known.append(result)
        return result

    for module in linears:
        module.forward = partial(forward, module, [])  # type: ignore[method-assign]  # undone below
    try:
        yield
    finally:
        for module in linears:
            del module.forward


@contextmanager
def _quantised(module: torch.nn.Linear, length: int, smooth: Any) -> Iterator[None]:
    """A Linear that rounds its weights and its input, as convert/quantize.py does; smooth: the factors or None."""
    factor = torch.ones(module.in_features) if smooth is None else torch.from_numpy(smooth)
    weight = narrowed(module.weight / factor)

    def hook(_module: Any, inputs: tuple[torch.Tensor, ...], _output: torch.Tensor) -> torch.Tensor | None:
        value = inputs[0]
        if value.shape[-2] != length:  # DeBERTa's relative positions, which are constants in the graph
            return None
        return torch.nn.functional.linear(rounded(value * factor), weight, module.bias)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()

"""Outlier channels of activations, moved into the weights: SmoothQuant (Xiao et al. 2022, arXiv 2211.10438).

x W = (x f) (W / f) for any factor f of each input channel. f = peak(W)^(1 - alpha) / peak(x)^alpha takes a share alpha
of what makes a channel of x large, and gives it to the rows of W. Alpha is chosen for each input of products, by the
error of these products with both kinds of scales: one a token (the fused graph), one a tensor (the portable one).
Example: a channel of 60 among others of 1 leaves them 4 of 255 levels; with alpha 0.5 it is 8, and they have 32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# Of the products' error before, what must be left at most: a smaller gain is not worth a multiplication.
WORTH = 0.9
# Rows of an input that errors are measured on; peaks are of all rows.
ROWS = 128
# No channel is multiplied by more, or divided by more: a channel that calibration never saw alive may live later.
MOST = 1000.0


@dataclass
class _Input:
    """What several products read. peak: [in], of every second text; rows: some of the others, a piece a text.

    Alpha is judged on other texts than the peaks are from: what gains on the same ones may lose on others.
    """

    products: dict[str, torch.nn.Linear]
    peak: torch.Tensor
    rows: list[torch.Tensor] = field(default_factory=list)


def factors(
    model: Any, texts: Sequence[list[int]], products: Collection[str], on_input: Callable[[], None] = lambda: None
) -> dict[str, NDArray[np.float32]]:
    """What each input channel of a weight is to be multiplied by [in], for the weights of `products` that gain by it.

    texts: the ids of each. Products that read the same activations have the same array.
    """
    found: dict[str, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for its in _inputs(model, texts, products):
            best = _best(torch.cat(its.rows), its.peak, [module.weight for module in its.products.values()])
            on_input()
            if best is not None:
                found |= dict.fromkeys(its.products, best.numpy())
    return found


def _inputs(model: Any, texts: Sequence[list[int]], products: Collection[str]) -> list[_Input]:
    """What goes into the products, once for those that read the same."""
    modules = {
        f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)
    }
    asked = {name: modules[name] for name in products if name in modules}
    inputs: dict[str, _Input] = {}
    each = max(1, ROWS // max(1, len(texts) // 2))
    for number, ids in enumerate(texts):
        peaks = number % 2 == 0
        count = 0 if peaks and len(texts) > 1 else each
        row = torch.tensor([ids])
        with ExitStack() as stack:
            for hook in _hooks(asked, inputs, len(ids), count, peaks):
                stack.callback(hook.remove)
            model(input_ids=row, attention_mask=torch.ones_like(row))
    return list({id(its): its for its in inputs.values()}.values())


def _hooks(
    modules: dict[str, torch.nn.Linear], inputs: dict[str, _Input], length: int, rows: int, peaks: bool
) -> Iterator[Any]:
    """Hooks that keep what each module reads: peaks, or so many rows evenly apart."""
    seen: dict[str, Any] = {"value": None, "its": None}  # what was read last: query, key and value come in a row

    def hook(name: str, value: torch.Tensor) -> None:
        if value.shape[-2] != length:  # DeBERTa's relative positions, which are constants in the graph
            return
        if value is seen["value"]:
            if name not in inputs:
                inputs[name] = seen["its"]
                inputs[name].products[name] = modules[name]
            return
        whole = value.detach().reshape(-1, value.shape[-1])
        its = inputs.setdefault(name, _Input({name: modules[name]}, torch.zeros(whole.shape[-1])))
        if peaks:
            its.peak = torch.maximum(its.peak, whole.abs().amax(dim=0))
        if rows:
            its.rows.append(whole[:: math.ceil(len(whole) / rows)].clone())
        seen.update(value=value, its=its)

    for name, module in modules.items():
        yield module.register_forward_pre_hook(lambda _module, given, name=name: hook(name, given[0]))


def _best(rows: torch.Tensor, peak: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """The factors with the least error; None where none is worth it, or one kind of scales would be harmed."""
    widest = torch.stack([weight.abs().amax(dim=0) for weight in weights]).amax(dim=0)
    alive = (peak > 0) & (widest > 0)
    plain = _errors(rows, weights, torch.ones_like(peak))
    best, least = None, math.log(WORTH)
    for alpha in ALPHAS:
        factor = torch.where(alive, widest.pow(1 - alpha) / peak.pow(alpha), 1.0)
        factor[alive] /= factor[alive].log().mean().exp()  # so that the mean of the logarithms is 0
        factor = factor.clamp(1 / MOST, MOST)
        gains = [
            math.log(max(error, 1e-30) / max(before, 1e-30))
            for error, before in zip(_errors(rows, weights, factor), plain, strict=True)
        ]
        if max(gains) <= 0 and sum(gains) / len(gains) < least:
            best, least = factor, sum(gains) / len(gains)
    return best


def _errors(rows: torch.Tensor, weights: Sequence[torch.Tensor], factor: torch.Tensor) -> tuple[float, float]:
    """Relative squared error of all products in INT8: with one scale a row, and with one for all rows."""
    smooth = rows * factor
    inputs = (rounded(smooth, dim=-1), rounded(smooth))
    totals = [0.0, 0.0]
    for weight in weights:
        exact = torch.nn.functional.linear(rows, weight)
        size = float(exact.square().sum()) or 1.0
        narrow = narrowed(weight / factor)
        for place, value in enumerate(inputs):
            totals[place] += float((torch.nn.functional.linear(value, narrow) - exact).square().sum()) / size
    return totals[0], totals[1]


def rounded(value: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """Activations as u8 has them: 255 steps from the least to the largest of each slice along `dim`, or of all."""
    least, most = (value.min(), value.max()) if dim is None else value.aminmax(dim=dim, keepdim=True)
    low, high = least.clamp(max=0), most.clamp(min=0)
    step = ((high - low) / 255).clamp(min=torch.finfo(torch.float32).tiny)
    zero = (-low / step).round()
    return (((value / step).round() + zero).clamp(0, 255) - zero) * step


def narrowed(weight: torch.Tensor) -> torch.Tensor:
    """A weight [out, in] as s8 has it, with one scale an output, as convert/quantize.py does."""
    peak = weight.abs().amax(dim=1, keepdim=True)
    scale = torch.where(peak > 0, peak / 127, 1)
    return (weight / scale).round() * scale

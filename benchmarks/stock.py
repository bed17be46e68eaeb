"""The stock export: a module of transformers through torch's own exporter, as most people have it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import onnx_ir as ir
import torch

from bento.engines.onnx import INPUTS, OUTPUT
from convert.export import IR_VERSION, OPSET


def trace(model: Any) -> ir.Model:
    """A token classifier as an ONNX graph in FP32, batch and length dynamic."""
    # Two tensors: one given twice would become one input.
    ids, mask = torch.full((2, 8), 5), torch.ones(2, 8, dtype=torch.int64)
    axes = {0: "batch", 1: "length"}
    with _quiet():
        exported = torch.onnx.export(
            _Logits(model).eval(),
            (ids, mask),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_shapes=(axes, axes),
            verbose=False,
        )
    traced: ir.Model = cast(torch.onnx.ONNXProgram, exported).model
    traced.ir_version = IR_VERSION
    return traced


class _Logits(torch.nn.Module):
    """Takes and gives plain tensors, in the order of the runner's names."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of missing torchvision operators and its own deprecated parts: nothing a user can mend."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)

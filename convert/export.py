"""Checkpoint -> one ONNX graph in FP32, checked and with all shapes inferred."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import onnx_ir as ir
import torch
from onnx_ir.passes.common import CheckerPass, ClearMetadataAndDocStringPass, ShapeInferencePass

from bento.artifact import MODEL, Precision
from bento.runners.onnx import INPUTS, OUTPUT
from convert import deberta
from convert.checkpoint import Checkpoint
from convert.errors import ExportError

# The opset that torch's exporter writes without a conversion step, and enough for us (LayerNormalization came with 17).
# ONNX Runtime reads it since 1.14, and IR 10 since 1.18.
OPSET = 18
IR_VERSION = 10
EXTERNAL_DATA = f"{MODEL}.data"
# A protobuf message cannot be over 2 GiB, and while it is written it is in memory twice: big weights go beside it.
SINGLE_FILE_BYTES = 1 << 28


def export(checkpoint: Checkpoint, precision: Precision) -> ir.Model:
    """Its graph in FP32: inputs int64 [batch, length], output float32 [batch, length, labels]. Raises ExportError.

    precision: what it is meant for. INT8 wants all constants in sight, FP32 wants them once.
    """
    ours = checkpoint.architecture == "deberta-v2" and deberta.supports(checkpoint.model.config)
    with _blamed_on(checkpoint.architecture):
        if ours:
            return deberta.build(checkpoint.model, OPSET, IR_VERSION, fold=precision == "int8")
        return trace(checkpoint.model)


def check(model: ir.Model, architecture: str) -> None:
    """Clean the graph, prove it sound and infer the shapes in it. Raises ExportError."""
    with _blamed_on(architecture):
        ClearMetadataAndDocStringPass()(model)  # the exporter's notes hold paths of the machine it ran on
        CheckerPass(full_check=True)(model)
        ShapeInferencePass()(model)


def trace(model: Any) -> ir.Model:
    """The stock module through torch's own exporter."""
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
    _name_products(traced.graph, model)
    return traced


def _name_products(graph: ir.Graph, model: Any) -> None:
    """Give the transposed weights of Linear modules their names back, which the exporter numbers."""
    names = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            names[_digest(module.weight.detach().T.numpy())] = f"{name}.weight"
    for value in list(graph.initializers.values()):
        data = value.const_value
        if data is not None and len(data.shape) == 2 and (name := names.pop(_digest(data.numpy()), None)):
            value.name = name


def _digest(array: Any) -> str:
    return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()


def save(model: ir.Model, folder: Path, single_file_bytes: int) -> None:
    """Write model.onnx, and weights of more than `single_file_bytes` in a file beside it. Raises OSError."""
    weights = (value.const_value for value in model.graph.initializers.values())
    size = sum(weight.nbytes for weight in weights if weight is not None)
    ir.save(model, folder / MODEL, external_data=None if size < single_file_bytes else EXTERNAL_DATA)


@contextmanager
def _blamed_on(architecture: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # torch, onnx_ir and onnx each have their own
        lines = str(error).strip().splitlines()
        raise ExportError(architecture, lines[0] if lines else type(error).__name__) from error


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

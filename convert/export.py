"""Checkpoint -> one ONNX graph in FP32, checked and with all shapes inferred."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes.common import CheckerPass, ClearMetadataAndDocStringPass, ShapeInferencePass

from bento.artifact import EXTERNAL_DATA, Precision
from bento.engines.onnx import INPUTS, OUTPUT
from convert import deberta, quantize
from convert.checkpoint import Checkpoint
from convert.deberta import Encoder
from convert.errors import ExportError
from convert.fused import Fused, supports
from convert.portable import Portable

# The opset that torch's exporter writes without a conversion step, and enough for us (LayerNormalization came with 17).
# ONNX Runtime reads it since 1.14, and IR 10 since 1.18.
OPSET = 18
IR_VERSION = 10
# A protobuf message cannot be over 2 GiB, and while it is written it is in memory twice: big weights go beside it.
SINGLE_FILE_BYTES = 1 << 28
# Shapes and axes stay in the graph, where every reader looks for them.
INLINE_BYTES = 1 << 10
PAGE_BYTES = 1 << 12


def export(checkpoint: Checkpoint, precision: Precision) -> ir.Model:
    """Its graph in FP32: inputs int64 [batch, length], output float32 [batch, length, labels]. Raises ExportError.

    precision: what it is meant for. INT8 wants all constants in sight, FP32 wants them once.
    """
    with _blamed_on(checkpoint.architecture):
        if checkpoint.architecture == "deberta-v2" and deberta.supports(checkpoint.model.config):
            return model(Portable(checkpoint.model, fold=precision == "int8"))
        return trace(checkpoint.model)


def fused(checkpoint: Checkpoint, precision: Precision, exact: Collection[str] = ()) -> ir.Model | None:
    """Its graph for our own operators; None when they do not cover it. See convert/fused.py. Raises ExportError.

    exact: the weights whose products stay FP32 where the others are INT8.
    """
    if checkpoint.architecture != "deberta-v2" or not supports(checkpoint.model.config):
        return None
    with _blamed_on(checkpoint.architecture):
        graph = model(Fused(checkpoint.model, precision == "int8", exact))
        if precision == "int8":
            quantize.quantize(graph, exact=quantize.products(graph))  # what is left to do: tables
        return graph


def model(encoder: Encoder) -> ir.Model:
    """The graph that an encoder writes."""
    return ir.Model(encoder.graph(OPSET), ir_version=IR_VERSION, producer_name="wordtell")


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


def save(models: Mapping[str, ir.Model], folder: Path, single_file_bytes: int) -> None:
    """Write each graph under its name, and beside them the weights, once, if they are shared or big. Raises OSError."""
    weights = {id(value.const_value): value for model in models.values() for value in model.graph.initializers.values()}
    size = sum(value.const_value.nbytes for value in weights.values() if value.const_value is not None)
    if len(models) > 1 or size >= single_file_bytes:
        _move_out(weights.values(), folder / EXTERNAL_DATA)
    for name, model in models.items():
        ir.save(model, folder / name)


def _move_out(values: Iterable[ir.Value], path: Path) -> None:
    """Put the tensors that are not tiny into a file, equal ones once, and let the values refer to it."""
    places: dict[str, int] = {}
    with path.open("wb") as file:
        for value in values:
            data = value.const_value
            if data is None or data.nbytes < INLINE_BYTES:
                continue
            array = data.numpy()
            digest = _digest(array)
            if digest not in places:
                file.write(bytes(-file.tell() % PAGE_BYTES))  # so that a reader can map it
                places[digest] = file.tell()
                file.write(np.ascontiguousarray(array).data)
            value.const_value = ir.ExternalTensor(
                path.name,
                places[digest],
                data.nbytes,
                data.dtype,
                shape=ir.Shape(array.shape),
                name=value.name or "",
                base_dir=path.parent,
            )


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

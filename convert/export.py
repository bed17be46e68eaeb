"""Checkpoint -> ONNX graphs, checked and with all shapes inferred."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass, ClearMetadataAndDocStringPass, ShapeInferencePass

from bento.artifact import EXTERNAL_DATA, Precision
from bento.checkpoint import families
from convert import quantize
from convert.encoder import Encoder
from convert.errors import ExportError
from convert.fused import Fused, supports
from convert.nodes import Array
from convert.portable import Portable
from convert.source import Source

# The first that has all we need: LayerNormalization came with 17, Split into a number of parts with 18.
# ONNX Runtime reads it since 1.14, and IR 10 since 1.18.
OPSET = 18
IR_VERSION = 10
# A protobuf message cannot be over 2 GiB, and while it is written it is in memory twice: big weights go beside it.
SINGLE_FILE_BYTES = 1 << 28
# Shapes and axes stay in the graph file, because readers expect them there.
INLINE_BYTES = 1 << 10
PAGE_BYTES = 1 << 12


def export(checkpoint: Source, precision: Precision, smooth: Mapping[str, Array] | None = None) -> ir.Model:
    """Its graph in FP32: inputs int64 [batch, length], output float32 [batch, length, labels]. Raises ExportError.

    precision: what it is meant for. For INT8 all constants are computed here; for FP32 each weight is stored once.
    smooth: see Encoder.
    """
    with _blamed_on(checkpoint.architecture):
        return model(Portable(checkpoint.model, fold=precision == "int8", smooth=smooth))


def fused(
    checkpoint: Source,
    precision: Precision,
    exact: Collection[str] = (),
    smooth: Mapping[str, Array] | None = None,
) -> ir.Model | None:
    """Its graph for our own operators; None if they do not support it. See convert/fused.py. Raises ExportError.

    exact: the weights whose products stay FP32 where the others are INT8. smooth: see Encoder.
    """
    if not supports(families.describe(checkpoint.model.config)):
        return None
    with _blamed_on(checkpoint.architecture):
        graph = model(Fused(checkpoint.model, precision == "int8", exact, smooth))
        if precision == "int8":
            quantize.quantize(graph, exact=quantize.products(graph))  # what is left to do: tables
        return graph


def model(encoder: Encoder) -> ir.Model:
    """The graph that an encoder writes."""
    return ir.Model(encoder.graph(OPSET), ir_version=IR_VERSION, producer_name="wordtell")


def check(model: ir.Model, architecture: str) -> None:
    """Simplify and check the graph, and infer its shapes. Raises ExportError."""
    with _blamed_on(architecture):
        ClearMetadataAndDocStringPass()(model)
        CheckerPass(full_check=True)(model)
        ShapeInferencePass()(model)


def _digest(array: Any) -> str:
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array).data)  # without a copy: embeddings of a large vocabulary are a gigabyte
    return digest.hexdigest()


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

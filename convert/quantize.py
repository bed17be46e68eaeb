"""FP32 -> INT8: weights here, activations at run time.

- A MatMul with a constant matrix becomes DynamicQuantizeLinear -> MatMulInteger: u8 activations, s8 weights with one
  scale a column (u8 x s8 is the fast pair on CPUs; s8 x s8 is far slower). ONNX Runtime fuses what comes out.
- A looked-up table (embeddings) is stored as s8 with one scale a row; only the rows that a text needs are widened.
- Any other big constant is stored as s8 with one scale a row and widened when the model is loaded, by ONNX Runtime's
  constant folding: it saves disk and costs no time.
MatMuls of two activations (attention) stay FP32, and so does the head: it is small, and its error is the answer's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

# Smaller constants are not worth a scale of their own; narrower products are heads.
MIN_BYTES = 1 << 12
MIN_COLUMNS = 16
LEVELS = 127


def products(model: ir.Model) -> dict[str, int]:
    """The weights of the MatMuls that `quantize` would turn to INT8: name -> how many numbers."""
    return {weight.name or "": weight.const_value.size for _, weight in _products(model.graph) if weight.const_value}


def quantize(model: ir.Model, exact: Collection[str] = ()) -> None:
    """Rewrite an FP32 graph in place. exact: names of the weights whose MatMuls are to stay FP32."""
    graph = model.graph
    activations: dict[ir.Value, tuple[ir.Value, ...]] = {}
    matrices = dict(_products(graph))
    for node in list(graph):
        if node in matrices:
            if matrices[node].name not in exact:
                _quantize_product(graph, node, matrices[node], activations)
            continue
        for index, weight in enumerate(node.inputs):
            data = weight.const_value if weight is not None and weight.is_initializer() else None
            if weight is None or data is None or not _is_big(data) or _is_head(node, index, data):
                continue
            if _is_lookup(node, index, data):
                _quantize_lookup(graph, node, weight)
            else:
                _store_narrow(graph, node, index, weight)
    RemoveUnusedNodesPass()(model)


def _products(graph: ir.Graph) -> Iterator[tuple[ir.Node, ir.Value]]:
    """Every product with a big constant matrix, and the matrix."""
    for node in graph:
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        data = weight.const_value if weight is not None and weight.is_initializer() else None
        if weight is None or data is None or not _is_big(data) or len(data.shape) != 2 or _is_head(node, 1, data):
            continue
        yield node, weight


def worthwhile(weight: NDArray[np.float32]) -> bool:
    """Whether `quantize` would turn a MatMul with this matrix [in, out] to INT8."""
    return weight.nbytes >= MIN_BYTES and weight.shape[1] >= MIN_COLUMNS


def names(weight: str, axis: int) -> tuple[str, str]:
    """What the narrow form of a weight and its scales are called."""
    return f"{weight}_s8_{axis}", f"{weight}_scale_{axis}"


def _is_head(node: ir.Node, index: int, data: ir.TensorProtocol) -> bool:
    narrow = len(data.shape) == 2 and data.shape.numpy()[1] < MIN_COLUMNS
    return narrow and node.op_type == "MatMul" and index == 1


def _is_lookup(node: ir.Node, index: int, data: ir.TensorProtocol) -> bool:
    by_row = node.op_type == "Gather" and index == 0 and node.attributes.get_int("axis", 0) == 0
    return by_row and len(data.shape) == 2


def _is_big(data: ir.TensorProtocol) -> bool:
    return data.dtype == ir.DataType.FLOAT and data.nbytes >= MIN_BYTES and len(data.shape) > 1


def narrow(data: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric s8 and the scales that undo it; one scale a slice along `axis`, kept as a dimension of 1."""
    peak = np.maximum(data.max(axis=axis, keepdims=True), -data.min(axis=axis, keepdims=True))
    scale = np.where(peak > 0, peak / LEVELS, 1).astype(np.float32)
    levels = data / scale
    return np.rint(levels, out=levels).astype(np.int8), scale  # in place: embeddings are the biggest of all weights


def _quantize_product(
    graph: ir.Graph, node: ir.Node, weight: ir.Value, activations: dict[ir.Value, tuple[ir.Value, ...]]
) -> None:
    values, scale = _constants(graph, weight, axis=0, squeeze=True)
    tape = ir.tape.Tape()
    source = cast(ir.Value, node.inputs[0])
    if source not in activations:  # query, key and value read the same activations
        activations[source] = tuple(tape.op_multi_out("DynamicQuantizeLinear", [source], num_outputs=3))
    quantized, step, zero = activations[source]
    integers = tape.op("MatMulInteger", [quantized, values, zero])
    result = tape.op("Mul", [tape.op("Cast", [integers], {"to": ir.DataType.FLOAT}), tape.op("Mul", [step, scale])])
    _replace(graph, node, tape, result)


def _quantize_lookup(graph: ir.Graph, node: ir.Node, weight: ir.Value) -> None:
    values, scale = _constants(graph, weight, axis=1)
    tape = ir.tape.Tape()
    rows = tape.op("Cast", [tape.op("Gather", [values, node.inputs[1]], {"axis": 0})], {"to": ir.DataType.FLOAT})
    _replace(graph, node, tape, tape.op("Mul", [rows, tape.op("Gather", [scale, node.inputs[1]], {"axis": 0})]))


def _store_narrow(graph: ir.Graph, node: ir.Node, index: int, weight: ir.Value) -> None:
    values, scale = _constants(graph, weight, axis=-1)
    tape = ir.tape.Tape()
    wide = tape.op("Mul", [tape.op("Cast", [values], {"to": ir.DataType.FLOAT}), scale])
    graph.insert_before(node, tape.nodes)
    node.replace_input_with(index, wide)


def _constants(graph: ir.Graph, weight: ir.Value, axis: int, squeeze: bool = False) -> tuple[ir.Value, ir.Value]:
    """The narrow weight and its scales as initializers; made once, however often the weight is used."""
    narrow_name, scale_name = names(weight.name or "", axis)
    if narrow_name not in graph.initializers:
        values, scale = narrow(cast(ir.TensorProtocol, weight.const_value).numpy(), axis)
        arrays: dict[str, NDArray[Any]] = {narrow_name: values, scale_name: scale.squeeze(axis) if squeeze else scale}
        for name, array in arrays.items():
            graph.register_initializer(ir.val(name, const_value=ir.tensor(array, name=name)))
    return graph.initializers[narrow_name], graph.initializers[scale_name]


def _replace(graph: ir.Graph, node: ir.Node, tape: ir.tape.Tape, result: ir.Value) -> None:
    old = node.outputs[0]
    result.merge_shapes(old.shape)
    result.type = old.type
    graph.insert_before(node, tape.nodes)
    ir.convenience.replace_all_uses_with(old, result, replace_graph_outputs=True)
    result.name = old.name
    graph.remove(node, safe=True)

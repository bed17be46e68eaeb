"""What one window costs, counted in a model folder's own graph: multiplications and additions of its matrix products.

Only the fields of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto that are named below are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bento.bench.protobuf import fields, packed

# Numbers of fields in onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_TYPE, _NODE_ATTRIBUTE = 1, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGER, _ATTRIBUTE_GRAPH = 1, 3, 6
_TENSOR_DIMENSIONS, _TENSOR_TYPE, _TENSOR_NAME = 1, 2, 8
# Their second input is the matrix [in, out]; see also native/ort/linear.cpp.
_PRODUCTS = frozenset({"MatMul", "MatMulInteger", "QuantizedLinear"})
# Of native/ort/attention.cpp: inputs 5 and 6 are tables [heads, buckets, head size] of DeBERTa's positions.
_ATTENTIONS = frozenset({"Attention", "DisentangledAttention"})
_POSITION_TABLES = (5, 6)
_BYTES = {1: 4, 2: 1, 3: 1, 10: 2, 16: 2}  # of a number, by onnx's TensorProto.DataType


@dataclass(frozen=True)
class Attention:
    """One layer's. width: of all heads together. window: a token sees those at most so far away; 0: all of them.

    buckets: rows of each of the `tables` of positions that queries or keys are multiplied with.
    """

    width: int
    window: int = 0
    tables: int = 0
    buckets: int = 0

    def operations(self, tokens: int) -> int:
        """Q.K and P.V for all pairs of tokens that see each other, and the terms of positions."""
        places = np.arange(tokens)
        reach = self.window or tokens
        seen = int((np.minimum(tokens, places + reach + 1) - np.maximum(0, places - reach)).sum())
        positions = tokens * min(self.buckets, 2 * tokens - 1)
        return 4 * self.width * seen + 2 * self.tables * self.width * positions


@dataclass(frozen=True)
class Arithmetic:
    """Of one graph. matrices: (in, out) of every product with weights. weight_bytes: of these matrices."""

    matrices: tuple[tuple[int, int], ...]
    attentions: tuple[Attention, ...]
    weight_bytes: int

    def operations(self, tokens: int) -> int:
        """For one window of so many tokens, a multiplication and an addition being two."""
        dense = sum(2 * rows * columns for rows, columns in self.matrices)
        return tokens * dense + sum(one.operations(tokens) for one in self.attentions)


@dataclass
class _Tensor:
    shape: list[int] = field(default_factory=list)
    kind: int = 0


@dataclass
class _Node:
    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    integers: dict[str, int] = field(default_factory=dict)
    graphs: list[memoryview] = field(default_factory=list)


def read(graph: Path) -> Arithmetic:
    """Count a graph's products. Raises ValueError for a file that is no graph, and OSError.

    In a graph of standard operators attention is counted by its softmaxes, without the terms of positions.
    """
    try:
        (inside,) = (value for number, value in fields(memoryview(graph.read_bytes())) if number == _MODEL_GRAPH)
        return _count(inside)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{graph}: not an ONNX graph") from error


def _count(graph: memoryview) -> Arithmetic:
    tensors: dict[str, _Tensor] = {}
    nodes: list[_Node] = []
    for number, value in fields(graph):
        if number == _GRAPH_INITIALIZER:
            name, tensor = _tensor(value)
            tensors[name] = tensor
        elif number == _GRAPH_NODE:
            nodes.append(_node(value))
    matrices, attentions, weights = [], [], set()
    softmaxes = sum(_softmaxes(node) for node in nodes)
    norms = [tensors[node.inputs[1]].shape[0] for node in nodes if node.kind == "LayerNormalization"]
    for node in nodes:
        given = [tensors.get(name) for name in node.inputs]
        if node.kind in _PRODUCTS and len(given) > 1 and given[1] is not None and len(given[1].shape) == 2:
            rows, columns = given[1].shape
            matrices.append((rows, columns))
            weights.add((node.inputs[1], rows * columns * _BYTES.get(given[1].kind, 4)))
        elif node.kind in _ATTENTIONS:
            tables = [found for place in _POSITION_TABLES if place < len(given) and (found := given[place])]
            buckets = tables[0].shape[1] if tables else 0
            head_size = node.integers.get("head_size") or tables[0].shape[2]  # older graphs do not name it
            width = node.integers["heads"] * head_size
            attentions.append(Attention(width, node.integers.get("window", 0), len(tables), buckets))
    attentions += [Attention(norms[-1])] * softmaxes if norms else []
    return Arithmetic(tuple(matrices), tuple(attentions), sum(size for _, size in weights))


def _softmaxes(node: _Node) -> int:
    inside = (_node(value) for graph in node.graphs for number, value in fields(graph) if number == _GRAPH_NODE)
    return int(node.kind == "Softmax") + sum(map(_softmaxes, inside))


def _tensor(message: memoryview) -> tuple[str, _Tensor]:
    name, tensor = "", _Tensor()
    for number, value in fields(message):
        if number == _TENSOR_DIMENSIONS:
            tensor.shape += [value] if isinstance(value, int) else packed(value)
        elif number == _TENSOR_TYPE:
            tensor.kind = int(value)
        elif number == _TENSOR_NAME:
            name = bytes(value).decode()
    return name, tensor


def _node(message: memoryview) -> _Node:
    node = _Node()
    for number, value in fields(message):
        if number == _NODE_INPUT:
            node.inputs.append(bytes(value).decode())
        elif number == _NODE_TYPE:
            node.kind = bytes(value).decode()
        elif number == _NODE_ATTRIBUTE:
            _attribute(value, node)
    return node


def _attribute(message: memoryview, node: _Node) -> None:
    name = ""
    for number, value in fields(message):  # the name comes first, as fields do that have the least number
        if number == _ATTRIBUTE_NAME:
            name = bytes(value).decode()
        elif number == _ATTRIBUTE_INTEGER:
            node.integers[name] = int(value)
        elif number == _ATTRIBUTE_GRAPH:
            node.graphs.append(value)

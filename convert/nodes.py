"""Nodes of an ONNX graph, written first to last on a tape; activations in standard operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Array = NDArray[Any]


class Nodes:
    """Nodes and constants of a graph that is being written."""

    def __init__(self) -> None:
        self.tape = ir.tape.Tape()
        self.constants: dict[Any, ir.Value] = {}

    def op(self, kind: str, *inputs: ir.Value | Array | np.generic | None, **attributes: Any) -> ir.Value:
        """One node with one output; arrays among its inputs become constants, None leaves an optional one out."""
        return self.tape.op(kind, self.values(inputs), attributes)

    def ops(self, kind: str, count: int, *inputs: ir.Value | Array | np.generic, **attributes: Any) -> list[ir.Value]:
        """One node with `count` outputs."""
        return list(self.tape.op_multi_out(kind, self.values(inputs), attributes, num_outputs=count))

    def values(self, inputs: tuple[ir.Value | Array | np.generic | None, ...]) -> list[ir.Value | None]:
        """Inputs of a node."""
        return [
            value if value is None or isinstance(value, ir.Value) else self.constant(np.asarray(value))
            for value in inputs
        ]

    def constant(self, array: Array, name: str | None = None) -> ir.Value:
        """An initializer: one for every name, and one for every value that has no name."""
        key = name or (array.dtype.str, array.tobytes(), array.shape)
        if key not in self.constants:
            name = name or f"constant_{len(self.constants)}"
            self.constants[key] = ir.val(name, const_value=ir.tensor(array, name=name))
        return self.constants[key]

    def activation(self, kind: str, value: ir.Value) -> ir.Value:
        """One of names.ACTIVATIONS' values. Those of several nodes are written in the order that ONNX Runtime fuses."""
        match kind:
            case "relu":
                return self.op("Relu", value)
            case "tanh":
                return self.op("Tanh", value)
            case "silu":
                return self.op("Mul", value, self.op("Sigmoid", value))
            case "gelu":  # x/2 (1 + erf(x / √2))
                error = self.op("Erf", self.op("Div", value, np.float32(math.sqrt(2))))
                return self.op("Mul", self.op("Mul", value, self.op("Add", error, np.float32(1))), np.float32(0.5))
            case "gelu_tanh":  # x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))
                cube = self.op("Mul", self.op("Pow", value, np.float32(3)), np.float32(0.044715))
                inner = self.op("Mul", self.op("Add", value, cube), np.float32(math.sqrt(2 / math.pi)))
                share = self.op("Add", self.op("Tanh", inner), np.float32(1))
                return self.op("Mul", self.op("Mul", value, np.float32(0.5)), share)
        raise ValueError(f"the activation {kind!r} is not computed")

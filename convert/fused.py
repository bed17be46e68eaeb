"""The graph for wordtell's own operators (native/): texts one after another without padding, attention in one node.

Input input_ids [tokens] holds the windows end to end, boundaries [windows + 1] where each begins, and the last ends.
Activations are quantised with one scale a token, so that a token's numbers do not depend on its neighbours. What goes
between two operators of an INT8 graph is no wider than the next one needs, since memory is what they wait for: a sum
with its residual goes into products as quantised rows, a product into attention or another product in bfloat16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, cast

import numpy as np
import onnx_ir as ir

from convert import deberta, quantize
from convert.deberta import Encoder, distance_buckets
from convert.names import Deberta

DOMAIN = "wordtell"
# Head sizes that the attention kernel is made for: whole vectors of eight.
WIDTHS = range(8, 129, 8)


def supports(config: Any) -> bool:
    """Whether there are operators for all of this model."""
    return bool(
        deberta.supports(config)
        and getattr(config, "conv_kernel_size", 0) <= 0
        and config.hidden_size // config.num_attention_heads in WIDTHS
    )


class Fused(Encoder):
    """input_ids [tokens], boundaries [windows + 1] -> logits [tokens, labels]."""

    domains: ClassVar[Mapping[str, int]] = {DOMAIN: 1}

    def __init__(self, model: Any, int8: bool, exact: Collection[str] = ()) -> None:
        """int8: quantise the products, but for those of the weights named in `exact`."""
        super().__init__(model, fold=int8)
        self.int8 = int8
        self.exact = exact
        self.narrow: dict[ir.Value, ir.Value] = {}  # the other output of the same node
        self.required: set[ir.Value] = set()  # outputs that their operator always has

    def graph(self, opset: int) -> ir.Graph:
        """See Encoder."""
        graph = super().graph(opset)
        for both in self.narrow.items():
            for value in both:
                if not value.uses() and value not in self.required:
                    value.name = ""  # as ONNX writes an optional output that is left out
        return graph

    def inputs(self) -> list[ir.Value]:
        """See Encoder."""
        self.ids = ir.val("input_ids", ir.DataType.INT64, ir.Shape(["tokens"]))
        self.boundaries = ir.val("boundaries", ir.DataType.INT64, ir.Shape(["boundaries"]))
        return [self.ids, self.boundaries]

    def own(self, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """A node of our own operators; None leaves an optional input out."""
        return self.tape.op(kind, list(inputs), attributes, domain=DOMAIN)

    def own_or_narrow(self, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """The same of an operator whose second output is narrower, where there is a use for that."""
        if not self.int8:
            return self.own(kind, *inputs, **attributes)
        value, narrow = self.tape.op_multi_out(kind, list(inputs), attributes, num_outputs=2, domain=DOMAIN)
        self.narrow[value] = narrow
        return value

    def positions(self, table: ir.Value) -> ir.Value:
        """See Encoder."""
        count = self.op("Shape", self.ids)
        place = self.op("Range", np.array(0), self.op("Squeeze", count), np.array(1))
        # A token's window is the last that begins at or before it.
        begins = self.op("Unsqueeze", self.op("Slice", self.boundaries, np.array([0]), np.array([-1])), np.array([0]))
        earlier = self.op("LessOrEqual", begins, self.op("Unsqueeze", place, np.array([1])))
        nothing = np.array(0)
        begin = self.op("ReduceMax", self.op("Where", earlier, begins, nothing), np.array([1]), keepdims=0)
        return self.op("Gather", table, self.op("Sub", place, begin), axis=0)

    def join(self, name: str, value: ir.Value, residual: ir.Value) -> ir.Value:
        """See Encoder."""
        gain, bias = (self.constant(self.weight(part), part) for part in (f"{name}.weight", f"{name}.bias"))
        epsilon = float(self.config.layer_norm_eps)
        joined = self.own_or_narrow("AddLayerNorm", value, residual, gain, bias, epsilon=epsilon)
        self.required.add(joined)
        return joined

    def linear(self, name: str, value: ir.Value, scale: float = 1, activation: str | None = None) -> ir.Value:
        """See Encoder."""
        fused = activation == "gelu"
        product = self._quantized(name, value, self.bias(name, scale), scale, gelu=fused)
        if product is None:
            return super().linear(name, value, scale, activation)
        return self.activation(activation, product) if activation and not fused else product

    def widen(self, name: str, value: ir.Value) -> ir.Value:
        """See Encoder."""
        product = self._quantized(name, value, None)
        return super().widen(name, value) if product is None else product

    def attention(self, prefix: str, hidden: ir.Value) -> ir.Value:
        """See Encoder."""
        query = self.linear(prefix + Deberta.query, hidden, self.scale)
        key = self.linear(prefix + Deberta.key, hidden)
        value = self.linear(prefix + Deberta.value, hidden)
        keys, key_scales = self._narrow_table(prefix, "c2p", Deberta.key, Deberta.relative_key)
        queries, query_scales = self._narrow_table(prefix, "p2c", Deberta.query, Deberta.relative_query)
        buckets = self.constant(distance_buckets(self.config)[0], "distance_buckets")
        parts = [query, key, value]
        if all(part in self.narrow for part in parts):
            parts = [self.narrow[part] for part in parts]
        inputs = (*parts, self.boundaries, buckets, keys, queries, *((key_scales, query_scales) if self.int8 else ()))
        mixed = self.own("DisentangledAttention", *inputs, heads=self.heads, int8=int(self.int8))
        return self.linear(prefix + Deberta.mix, mixed)

    def _narrow_table(self, prefix: str, term: str, shared: str, own: str) -> tuple[ir.Value | None, ir.Value | None]:
        """The projected relative positions, in INT8 as s8 with a scale a row; None for what there is not."""
        if term not in self.terms:
            return None, None
        table = self.table(prefix, shared, own)
        if not self.int8:
            return table, None
        data = cast(ir.TensorProtocol, table.const_value).numpy()
        narrow, scales = quantize.narrow(data, axis=-1)
        narrow_name, scale_name = quantize.names(table.name or "", axis=-1)
        return self.constant(narrow, narrow_name), self.constant(scales.reshape(-1), scale_name)

    def _quantized(
        self, name: str, value: ir.Value, bias: ir.Value | None, scale: float = 1, gelu: bool = False
    ) -> ir.Value | None:
        """The product in INT8; None where it is to stay in FP32."""
        matrix = self.matrix(name, scale)
        weight = f"{name}.weight"
        if not self.int8 or weight in self.exact or not quantize.worthwhile(matrix):
            return None
        narrow_name, scale_name = quantize.names(weight, axis=0)
        narrow, scales = quantize.narrow(matrix, axis=0)
        constants = self.constant(narrow, narrow_name), self.constant(scales.squeeze(0), scale_name)
        return self.own_or_narrow("QuantizedLinear", self.narrow.get(value, value), *constants, bias, gelu=int(gelu))

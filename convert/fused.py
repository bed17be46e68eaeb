"""The graph for wordtell's own operators (native/): texts one after another without padding, attention in one node.

Input input_ids [tokens] holds the windows end to end, boundaries [windows + 1] where each begins, and the last ends.
Activations are quantised with one scale a token, so that a token's numbers do not depend on its neighbours. Tensors
between operators of an INT8 graph have the narrowest type that their consumer can use, because the operators wait for
memory: products read a sum as quantised rows; attention and the second product of the feed-forward part read bfloat16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, cast

import numpy as np
import onnx_ir as ir

from bento.checkpoint.families.description import Description, Joint, Layer
from bento.checkpoint.names import ACTIVATIONS
from convert import quantize
from convert.encoder import Encoder, Product
from convert.nodes import Array

DOMAIN = "wordtell"
# Head sizes that the attention kernel is made for: whole vectors of eight.
HEAD_SIZES = range(8, 257, 8)
# Activations that a product in INT8 ends with; others are nodes of their own.
WITH_PRODUCT = frozenset({"gelu", "gelu_tanh", "relu", "silu"})


def supports(its: Description) -> bool:
    """Whether there are operators for all of this encoder."""
    return its.head_size in HEAD_SIZES


class Fused(Encoder):
    """input_ids [tokens], boundaries [windows + 1] -> logits [tokens, labels]."""

    domains: ClassVar[Mapping[str, int]] = {DOMAIN: 1}

    def __init__(
        self, model: Any, int8: bool, exact: Collection[str] = (), smooth: Mapping[str, Array] | None = None
    ) -> None:
        """int8: quantise the products, but for those of the weights named in `exact`."""
        super().__init__(model, fold=int8, smooth=smooth)
        self.int8 = int8
        self.exact = exact
        self.narrow: dict[ir.Value, ir.Value] = {}  # the narrower output of the same node
        self.optional: list[ir.Value] = []
        # Quantised rows that are in use, and what their channels were multiplied by.
        self.factors: dict[ir.Value, Array | None] = {}
        self.rows: set[ir.Value] = set()

    def graph(self, opset: int) -> ir.Graph:
        """See Encoder."""
        graph = super().graph(opset)
        for value in self.optional:
            if not value.uses() and not value.is_graph_output():
                value.name = ""  # as ONNX writes an optional output that is left out
        return graph

    def inputs(self) -> list[ir.Value]:
        """See Encoder."""
        self.ids = ir.val("input_ids", ir.DataType.INT64, ir.Shape(["tokens"]))
        self.boundaries = ir.val("boundaries", ir.DataType.INT64, ir.Shape(["boundaries"]))
        if self.its.embeddings.positions or self.its.convolution:
            self.begin, self.place = self._begins()
        return [self.ids, self.boundaries]

    def own(self, kind: str, count: int, *inputs: ir.Value | None, **attributes: Any) -> list[ir.Value]:
        """A node of our own operators, with `count` outputs; None leaves an optional input out."""
        given = list(inputs)
        while given[-1] is None:
            given.pop()
        return list(self.tape.op_multi_out(kind, given, attributes, num_outputs=count, domain=DOMAIN))

    def positions(self, table: ir.Value) -> ir.Value:
        """See Encoder."""
        return self.op("Gather", table, self.op("Sub", self.place, self.begin), axis=0)

    def convolve(self, embedded: ir.Value, hidden: ir.Value) -> ir.Value:
        """See Encoder. A product of each token with its neighbours, side by side; those of other windows are 0."""
        its = self.its.convolution
        assert its is not None  # noqa: S101 - the caller looked
        weight = self.weight(f"{its.name}.weight")  # [out, in / groups, kernel]
        wide, narrow, kernel = weight.shape
        matrix = np.zeros((kernel, narrow * its.groups, wide), np.float32)
        for group in range(its.groups):
            rows, columns = (slice(group * size, (group + 1) * size) for size in (narrow, wide // its.groups))
            matrix[:, rows, columns] = weight[columns].transpose(2, 1, 0)
        neighbours = [self._neighbour(embedded, offset - (kernel - 1) // 2) for offset in range(kernel)]
        product = Product(its.name, matrix.reshape(-1, wide), self.weight(f"{its.name}.bias"))
        active = self.linear(product, self.op("Concat", *neighbours, axis=-1), ACTIVATIONS[its.activation])
        return self.norm(its.norm, hidden, active)

    def join(self, name: str, value: ir.Value, residual: ir.Value) -> tuple[ir.Value, ir.Value]:
        """See Encoder."""
        normed, total = self._add_norm(name, value, residual, outputs=3 if self.its.pre_norm else 2)
        return normed, total or normed

    def norm(self, name: str, value: ir.Value, residual: ir.Value | None = None) -> ir.Value:
        """See Encoder."""
        if residual is None:
            return super().norm(name, value)
        return self._add_norm(name, value, residual, outputs=2)[0]

    def linear(self, product: Product, value: ir.Value, activation: str | None = None, gated: bool = False) -> ir.Value:
        """See Encoder."""
        if not self._quantises(product):
            return super().linear(product, value, activation, gated)
        narrow, scales = quantize.narrow(product.matrix, axis=0)
        names = quantize.names(product.weight, axis=0)
        constants = [self.constant(narrow, names[0]), self.constant(scales.squeeze(0), names[1])]
        bias = None if product.bias is None else self.constant(product.bias, f"{product.name}.bias")
        inside = activation if activation in WITH_PRODUCT else None
        attributes = {"activation": inside, "gated": int(gated)} if inside else {}
        source, smooth = self._source(value, product.factors)
        value, halved = self.own("QuantizedLinear", 2, source, *constants, bias, smooth, **attributes)
        self.narrow[value] = halved
        self.optional += [value, halved]
        return value if inside else self.activate(value, activation, gated)

    def project(self, layer: Layer, hidden: ir.Value) -> list[ir.Value]:
        """See Encoder. Attention wants three tensors, which three products write at once."""
        if not isinstance(layer.projections, Joint) or not self._quantises(whole := self.joint(layer)):
            return super().project(layer, hidden)
        width = self.its.heads * self.its.head_size
        return [
            self.linear(whole.part(start * width, (start + 1) * width, label), hidden)
            for start, label in enumerate(("query", "key", "value"))
        ]

    def attention(self, layer: Layer, query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        """See Encoder."""
        parts = [query, key, value]
        if all(part in self.narrow for part in parts):
            parts = [self.narrow[part] for part in parts]
        keys, key_scales = self._narrow_table(layer.position_key)
        queries, query_scales = self._narrow_table(layer.position_query, self.its.scale)
        buckets = None if self.its.buckets is None else self.constant(self.its.buckets, "distance_buckets")
        bias = None
        if self.its.bias:
            name = f"{self.its.bias}.weight"
            bias = self.constant(np.ascontiguousarray(self.weight(name).T), name)
        attributes: dict[str, Any] = {"heads": self.its.heads, "head_size": self.its.head_size, "int8": int(self.int8)}
        if layer.window:
            attributes["window"] = layer.window
        if layer.rotary_base:
            attributes["rotary_base"] = layer.rotary_base
        tables = (buckets, keys, queries, key_scales, query_scales, bias)
        return self.own("Attention", 1, *parts, self.boundaries, *tables, **attributes)[0]

    def _quantises(self, product: Product) -> bool:
        return self.int8 and product.weight not in self.exact and quantize.worthwhile(product.values)

    def _source(self, value: ir.Value, smooth: Array | None) -> tuple[ir.Value, ir.Value | None]:
        """What a product in INT8 reads, and the factors that it is to multiply it by.

        Rows that a norm quantises are multiplied there, by the factors of the first product that reads them; a product
        with others reads the norm in FP32.
        """
        source = self.narrow.get(value, value)
        factors = None if smooth is None else self.constant(smooth)
        if source not in self.rows:
            return source, factors
        if source not in self.factors:
            self.factors[source] = smooth
            node = source.producer()
            if factors is not None and node is not None:
                node.resize_inputs(5)
                node.replace_input_with(4, factors)
        return (source, None) if self.factors[source] is smooth else (value, factors)

    def _add_norm(
        self, name: str, value: ir.Value, residual: ir.Value, outputs: int
    ) -> tuple[ir.Value, ir.Value | None]:
        """The norm of a sum, and with three outputs the sum."""
        inputs = (value, residual, *self.gains(name))
        normed, rows, *total = self.own("AddLayerNorm", outputs, *inputs, epsilon=float(self.its.epsilon))
        if self.int8:
            self.narrow[normed] = rows
            self.rows.add(rows)
        self.optional += [rows, *total]
        return normed, next(iter(total), None)

    def _begins(self) -> tuple[ir.Value, ir.Value]:
        """Of every token, where its window begins, and where it stands itself."""
        count = self.op("Shape", self.ids)
        place = self.op("Range", np.array(0), self.op("Squeeze", count), np.array(1))
        # A token's window is the last that begins at or before it.
        begins = self.op("Unsqueeze", self.op("Slice", self.boundaries, np.array([0]), np.array([-1])), np.array([0]))
        earlier = self.op("LessOrEqual", begins, self.op("Unsqueeze", place, np.array([1])))
        return self.op("ReduceMax", self.op("Where", earlier, begins, np.array(0)), np.array([1]), keepdims=0), place

    def _neighbour(self, value: ir.Value, offset: int) -> ir.Value:
        """Of every token, the row of the one `offset` further on; zeros where that is in another window."""
        if not offset:
            return value
        last = self.op("Sub", self.op("Size", self.ids), np.array(1))
        index = self.op("Add", self.place, np.array(offset))
        near = self.op("Min", self.op("Max", index, np.array(0)), last)
        same = self.op("Equal", self.op("Gather", self.begin, near, axis=0), self.begin)
        inside = self.op("And", same, self.op("Equal", near, index))
        seen = self.op("Unsqueeze", self.op("Cast", inside, to=1), np.array([1]))
        return self.op("Mul", self.op("Gather", value, near, axis=0), seen)

    def _narrow_table(self, name: str | None, scale: float = 1.0) -> tuple[ir.Value | None, ir.Value | None]:
        """The projected relative positions, in INT8 as s8 with a scale a row; None for what there is not."""
        if name is None:
            return None, None
        table = self.table(name, scale)
        if not self.int8:
            return table, None
        data: Array = cast(ir.TensorProtocol, table.const_value).numpy()
        narrow, scales = quantize.narrow(data, axis=-1)
        narrow_name, scale_name = quantize.names(table.name or "", axis=-1)
        return self.constant(narrow, narrow_name), self.constant(scales.reshape(-1), scale_name)

"""Writes an encoder as an ONNX graph: the same numbers as transformers' export, with fewer and cheaper nodes.

This file has what all families (bento/checkpoint/families) and both graphs share: convert/portable.py is for every ONNX
Runtime, convert/fused.py for our operators.
- The scale of the scores is folded into the query projection, and into DeBERTa's position queries.
- DeBERTa's projected relative positions are constants. `fold` computes them here, which makes the file bigger; else
  they stand as products of constants, which ONNX Runtime computes once, when it loads the graph.
- The type of all tokens is the same, so its embedding is added to the table of positions.
- Factors that make activations smoother before they are quantised (convert/smoothing.py) divide the rows of matrices;
  those of what goes into `mix` are in the columns of the value projection, the others are multiplied where rows are
  quantised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import onnx_ir as ir

from bento.checkpoint import families
from bento.checkpoint.families.description import Joint, Layer
from bento.checkpoint.names import ACTIVATIONS
from convert.nodes import Array, Nodes
from convert.source import Weight


@dataclass(frozen=True)
class Product:
    """A matrix [in, out] and its bias [out]. name: of the Linear that they are of.

    values: the matrix before its rows are divided by `smooth` [in]; None: by nothing. folded: its input comes already
    multiplied by `smooth`.
    """

    name: str
    values: Array
    bias: Array | None
    smooth: Array | None = None
    folded: bool = False

    @property
    def matrix(self) -> Array:
        """[in, out], made anew each time where there are factors: they would double a model's memory."""
        return self.values if self.smooth is None else self.values / self.smooth[:, None]

    @property
    def factors(self) -> Array | None:
        """What its input is still to be multiplied by [in]."""
        return None if self.folded else self.smooth

    @property
    def weight(self) -> str:
        """What the matrix is called, in the checkpoint and in graphs."""
        return f"{self.name}.weight"

    def part(self, start: int, stop: int, label: str) -> Product:
        """Some of its columns, under a name of their own."""
        bias = None if self.bias is None else self.bias[start:stop]
        return replace(self, name=f"{self.name}.{label}", values=self.values[:, start:stop], bias=bias)

    def columns(self, factors: Array) -> Product:
        """Each column, and its bias, times a factor."""
        bias = None if self.bias is None else self.bias * factors
        return replace(self, values=self.values * factors, bias=bias)


class Encoder(Nodes):
    """Writes the nodes, first to last. Weights are shared with the model, not copied.

    Subclasses say how texts come in and how attention is computed, and may write other nodes for the rest.
    """

    # Of the operators beyond the standard ones, with their versions.
    domains: ClassVar[Mapping[str, int]] = {}
    ids: ir.Value

    def __init__(self, model: Any, fold: bool, smooth: Mapping[str, Array] | None = None) -> None:
        """model: see Source.

        smooth: by the name of a weight, what each of its input channels is multiplied by; see smoothing.py.
        """
        super().__init__()
        self.smooth = smooth or {}
        self.smoothed: dict[tuple[ir.Value, int], ir.Value] = {}
        self.its = families.describe(model.config)
        self.weights: dict[str, Weight] = {name: weight.detach() for name, weight in model.state_dict().items()}
        self.head = model.classifier
        self.fold = fold
        self.labels: int = model.config.num_labels

    def graph(self, opset: int) -> ir.Graph:
        """From the inputs to the logits."""
        inputs = self.inputs()
        hidden = residual = embedded = self.embed()
        for number, layer in enumerate(self.its.layers):
            hidden, residual = self.join(layer.mix_norm, self.attend(layer, hidden), residual)
            hidden, residual = self.join(layer.down_norm, self.feed_forward(layer, hidden), residual)
            if number == 0 and self.its.convolution:
                hidden = residual = self.convolve(embedded, hidden)
        logits = self.classify(hidden)
        logits.name, logits.dtype = "logits", ir.DataType.FLOAT
        logits.shape = ir.Shape([*cast(ir.Shape, self.ids.shape), self.labels])
        return ir.Graph(
            inputs,
            [logits],
            nodes=self.tape.nodes,
            initializers=tuple(self.constants.values()),
            opset_imports={"": opset, **self.domains},
            name="encoder",
        )

    def inputs(self) -> list[ir.Value]:
        """The graph's inputs, self.ids the first, and what all layers make of them."""
        raise NotImplementedError

    def positions(self, table: ir.Value) -> ir.Value:
        """Of the absolute positions, those of the tokens."""
        raise NotImplementedError

    def attention(self, layer: Layer, query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        """The context of every token, all heads side by side."""
        raise NotImplementedError

    def convolve(self, embedded: ir.Value, hidden: ir.Value) -> ir.Value:
        """DeBERTa-v2's n-gram layer."""
        raise NotImplementedError

    def embed(self) -> ir.Value:
        """What goes into the first layer."""
        parts = self.its.embeddings
        words = self.weight(f"{parts.words}.weight")
        types = self.weight(f"{parts.types}.weight")[0] if parts.types else None
        if types is not None and not parts.positions:
            words = words + types
        hidden = self.op("Gather", self.constant(words, f"{parts.words}.weight"), self.ids, axis=0)
        places = None
        if parts.positions:
            table = self.weight(f"{parts.positions}.weight")[parts.first_position :]
            table = table if types is None else table + types
            places = self.positions(self.constant(table, f"{parts.positions}.weight"))
        if parts.widen and not parts.widen_after_norm:
            hidden = self.linear(
                self.product(parts.widen), hidden if places is None else self.op("Add", hidden, places)
            )
            places = None
        hidden = self.norm(parts.norm, hidden, places)
        return self.linear(self.product(parts.widen), hidden) if parts.widen and parts.widen_after_norm else hidden

    def attend(self, layer: Layer, hidden: ir.Value) -> ir.Value:
        """Self-attention and the linear layer that mixes its heads."""
        context = self.attention(layer, *self.project(layer, hidden))
        return self.linear(replace(self.product(layer.mix), folded=True), context)  # into the values, by `project`

    def project(self, layer: Layer, hidden: ir.Value) -> list[ir.Value]:
        """Query, scaled, key and value."""
        if isinstance(layer.projections, Joint):
            return self.ops("Split", 3, self.linear(self.joint(layer), hidden), axis=-1, num_outputs=3)
        scales = (self.its.scale, 1.0, self.smooth.get(f"{layer.mix}.weight", 1.0))
        return [
            self.linear(self.product(name, scale), hidden)
            for name, scale in zip(layer.projections, scales, strict=True)
        ]

    def feed_forward(self, layer: Layer, hidden: ir.Value) -> ir.Value:
        """Up, through the activation, and down."""
        kind = ACTIVATIONS[self.its.activation]
        up = self.linear(self.product(layer.up), hidden, kind, self.its.gated)
        return self.linear(self.product(layer.down), up)

    def join(self, name: str, value: ir.Value, residual: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The normalised sum, and what is added next: the sum itself where norms come first."""
        total = self.op("Add", value, residual)
        normed = self.norm(name, total)
        return normed, total if self.its.pre_norm else normed

    def norm(self, name: str, value: ir.Value, residual: ir.Value | None = None) -> ir.Value:
        """Layer normalisation, of a sum if there is a second one."""
        total = value if residual is None else self.op("Add", value, residual)
        return self.op("LayerNormalization", total, *self.gains(name), axis=-1, epsilon=self.its.epsilon)

    def classify(self, hidden: ir.Value) -> ir.Value:
        """The head's logits."""
        if self.its.head:
            kind = ACTIVATIONS[self.its.head.activation]
            hidden = self.norm(self.its.head.norm, self.linear(self.product(self.its.head.dense), hidden, kind))
        between = getattr(self.head, "kind", None)  # of a head of two layers (bento/checkpoint/heads.py)
        if between is None:
            return self.linear(self.product("classifier"), hidden)
        inner = self.linear(self.product("classifier.dense"), hidden, None if between == "none" else between)
        return self.linear(self.product("classifier.out_proj"), inner)

    def linear(self, product: Product, value: ir.Value, activation: str | None = None, gated: bool = False) -> ir.Value:
        """A product with a weight, plus its bias, through an activation.

        gated: of the two halves of the columns, the first goes through it and is multiplied by the second.
        """
        value, matrix = self.multiplied(value, product.factors), self.constant(product.values, product.weight)
        if product.smooth is not None:
            matrix.const_value = ir.LazyTensor(
                lambda: ir.tensor(product.matrix), ir.DataType.FLOAT, ir.Shape(product.values.shape), name=matrix.name
            )
        result = self.op("MatMul", value, matrix)
        if product.bias is not None:
            result = self.op("Add", result, self.constant(product.bias, f"{product.name}.bias"))
        return self.activate(result, activation, gated)

    def activate(self, value: ir.Value, activation: str | None, gated: bool) -> ir.Value:
        """What follows a product."""
        if activation is None:
            return value
        if not gated:
            return self.activation(activation, value)
        first, gate = self.ops("Split", 2, value, axis=-1, num_outputs=2)
        return self.op("Mul", self.activation(activation, first), gate)

    def multiplied(self, value: ir.Value, smooth: Array | None) -> ir.Value:
        """A value times a factor for each channel: one node for all products that read it."""
        if smooth is None:
            return value
        key = value, id(smooth)
        if key not in self.smoothed:
            self.smoothed[key] = self.op("Mul", value, smooth)
        return self.smoothed[key]

    def weight(self, name: str) -> Array:
        """One of the checkpoint's."""
        return self.weights[name].numpy()

    def product(self, name: str, scale: float | Array = 1.0, smoothed: bool = True) -> Product:
        """A linear layer of the checkpoint, its columns scaled. smoothed: unless its input is not the usual one."""
        matrix, bias = self.weight(f"{name}.weight").T, self.weights.get(f"{name}.bias")
        smooth = self.smooth.get(f"{name}.weight") if smoothed else None
        found = Product(name, matrix, None if bias is None else bias.numpy(), smooth)
        return found if np.all(scale == 1) else found.columns(np.asarray(scale, np.float32))

    def joint(self, layer: Layer) -> Product:
        """Query, scaled, key and value as the columns of one matrix."""
        joint = layer.projections
        assert isinstance(joint, Joint)  # noqa: S101 - the caller looked
        whole = self.product(joint.name)
        width, hidden = len(whole.values), self.its.heads * self.its.head_size
        matrix = whole.values
        if joint.by_head:
            by_head = matrix.reshape(width, self.its.heads, 3, self.its.head_size)
            matrix = by_head.transpose(0, 2, 1, 3).reshape(width, 3 * hidden)
        bias = whole.bias
        if joint.biases:
            nothing = np.zeros(hidden, np.float32)
            bias = np.concatenate([nothing if name is None else self.weight(name) for name in joint.biases])
        scales = np.repeat(np.array([self.its.scale, 1, 1], np.float32), hidden)
        scales[2 * hidden :] *= self.smooth.get(f"{layer.mix}.weight", 1.0)
        return replace(whole, values=matrix, bias=bias).columns(scales)

    def gains(self, name: str) -> list[ir.Value]:
        """The gain of a norm, and its bias if it has one."""
        parts = (f"{name}.weight", f"{name}.bias")
        return [self.constant(self.weight(part), part) for part in parts if part in self.weights]

    def table(self, name: str, scale: float = 1.0) -> ir.Value:
        """Relative positions, projected by a linear layer of this name [heads, buckets, head_size]."""
        product, relative = self.product(name, scale, smoothed=False), self._relative_embeddings()
        heads, order = (-1, self.its.heads, self.its.head_size), (1, 0, 2)
        if self.fold:
            projected = relative @ product.matrix + (0 if product.bias is None else product.bias)
            by_head = np.ascontiguousarray(projected.reshape(heads).transpose(order))
            return self.constant(by_head, f"{name}.of_buckets")
        values = self.constant(relative, f"{self.its.relative}.weight")
        return self.op(
            "Transpose", self.op("Reshape", Encoder.linear(self, product, values), np.array(heads)), perm=order
        )

    def _relative_embeddings(self) -> Array:
        """[buckets, hidden]"""
        relative = self.weight(f"{self.its.relative}.weight")
        if not self.its.relative_norm:
            return relative
        gain, bias = (self.weight(f"{self.its.relative_norm}.{part}") for part in ("weight", "bias"))
        wide = relative.astype(np.float64)
        centred = wide - wide.mean(-1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self.its.epsilon)
        scaled: Array = (normed * gain + bias).astype(np.float32)
        return scaled

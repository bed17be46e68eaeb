"""DeBERTa-v2/v3 as an ONNX graph of our own: the same numbers as the stock export, fewer and cheaper nodes.

Disentangled attention (He et al. 2021, https://arxiv.org/abs/2006.03654, equation 4), r = t(q - k) a distance's bucket:
    score[q, k] = (Q[q] · K[k]  +  Q[q] · PK[r]  +  K[k] · PQ[r]) / sqrt(3 d)
- PK and PQ, the projections of the relative positions, are constants. `fold` computes them here, which makes the file
  bigger; else they stand as products of constants, which ONNX Runtime computes once, when it loads the graph.
- The scale is folded into the query projection, which is in two of the three terms, and so into PQ, the third.
- t is a constant table over all distances that still differ; longer ones are clipped to its ends: every length works.
- Both position terms are gathered by one shared int32 index [q, k]: PQ is multiplied from the left, PQ · Kᵀ, which
  leaves keys in the columns and saves the transposition of the stock graph.
- Short texts reach few buckets: the tables are cut to those before they are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from convert.names import Deberta

# Added to the score of a padded key; far below any score, far above the least float.
MASKED = -1e30
ACTIVATIONS = frozenset({"gelu", "relu", "tanh"})
Array = NDArray[Any]


def supports(config: Any) -> bool:
    """Whether `build` knows every part of this model. The stock export takes the others (rare activations)."""
    return bool(
        config.relative_attention
        and {config.hidden_act, getattr(config, "conv_act", "tanh")} <= ACTIVATIONS
        and set(config.pos_att_type or ()) <= {"c2p", "p2c"}
        and getattr(config, "attention_head_size", None) in (None, config.hidden_size // config.num_attention_heads)
    )


def build(model: Any, opset: int, ir_version: int, fold: bool) -> ir.Model:
    """The graph of a DebertaV2ForTokenClassification; its weights are shared with `model`, not copied."""
    graph = _Encoder(model.config, {name: weight.detach() for name, weight in model.state_dict().items()}, fold)
    return ir.Model(graph.graph(opset), ir_version=ir_version, producer_name="wordtell")


def distance_buckets(config: Any) -> tuple[Array, int]:
    """Which relative embedding belongs to each distance -reach ... reach (query minus key), and `reach`.

    Beyond `reach` the bucket does not change any more.
    """
    longest = config.max_relative_positions if config.max_relative_positions > 0 else config.max_position_embeddings
    buckets = getattr(config, "position_buckets", -1)
    span = buckets if buckets > 0 else longest
    distances = torch.arange(-longest, longest + 1)
    if buckets > 0:
        # Theirs, because a rounding of its logarithms that differs in the last bit would change a bucket.
        distances = make_log_bucket_position(distances, buckets, longest)
    table = torch.clamp(distances.long() + span, 0, 2 * span - 1)
    return table.numpy().astype(np.int32), longest


class _Encoder:
    """Writes the nodes, first to last, on a tape."""

    def __init__(self, config: Any, weights: Mapping[str, torch.Tensor], fold: bool) -> None:
        self.config = config
        self.weights = weights
        self.fold = fold
        self.heads: int = config.num_attention_heads
        self.width: int = config.hidden_size // config.num_attention_heads
        self.terms = frozenset(config.pos_att_type or ())
        self.scale = 1 / math.sqrt(self.width * (1 + len(self.terms)))
        self.tape = ir.tape.Tape()
        self.constants: dict[Any, ir.Value] = {}

    def graph(self, opset: int) -> ir.Graph:
        """input_ids, attention_mask -> logits."""
        shape = ir.Shape(["batch", "length"])
        self.ids = ir.val("input_ids", ir.DataType.INT64, shape)
        mask = ir.val("attention_mask", ir.DataType.INT64, shape)
        self.length = self.op("Shape", self.ids, start=1, end=2)
        padding = self.op("Mul", self.op("Sub", np.float32(1), self.op("Cast", mask, to=1)), np.float32(MASKED))
        self.padding = self.op("Unsqueeze", padding, np.array([1, 2]))
        self.index, self.bounds = self._distances()
        self.relative = self._relative_embeddings()
        hidden = self._embeddings()
        embedded = hidden
        for layer in range(self.config.num_hidden_layers):
            prefix = Deberta.layer.format(layer)
            hidden = self._norm(prefix + Deberta.mix_norm, self.op("Add", self._attention(prefix, hidden), hidden))
            inner = self._activation(self.config.hidden_act, self._linear(prefix + Deberta.up, hidden))
            outer = self._linear(prefix + Deberta.down, inner)
            hidden = self._norm(prefix + Deberta.down_norm, self.op("Add", outer, hidden))
            if layer == 0 and getattr(self.config, "conv_kernel_size", 0) > 0:
                hidden = self._convolution(embedded, mask, hidden)
        logits = self._linear(Deberta.head, hidden)
        logits.name, logits.dtype = "logits", ir.DataType.FLOAT
        logits.shape = ir.Shape(["batch", "length", self.config.num_labels])
        return ir.Graph(
            [self.ids, mask],
            [logits],
            nodes=self.tape.nodes,
            initializers=self.tape.initializers,
            opset_imports={"": opset},
            name="deberta",
        )

    def op(self, kind: str, *inputs: ir.Value | Array | np.generic, **attributes: Any) -> ir.Value:
        """One node with one output; arrays among its inputs become constants."""
        values = [value if isinstance(value, ir.Value) else self._constant(np.asarray(value)) for value in inputs]
        return self.tape.op(kind, values, attributes)

    def _constant(self, array: Array, name: str | None = None) -> ir.Value:
        """An initializer: one for every name, and one for every value that has no name."""
        key = name or (array.dtype.str, array.tobytes(), array.shape)
        if key not in self.constants:
            tensor = ir.tensor(array, name=name or f"constant_{len(self.constants)}")
            self.constants[key] = self.tape.initializer(tensor)
        return self.constants[key]

    def _weight(self, name: str) -> Array:
        return self.weights[name].numpy()

    def _linear(self, name: str, value: ir.Value, scale: float = 1) -> ir.Value:
        weight, bias = self._weight(f"{name}.weight").T, self._weight(f"{name}.bias")
        if scale != 1:
            weight, bias = weight * np.float32(scale), bias * np.float32(scale)
        product = self.op("MatMul", value, self._constant(weight, f"{name}.weight"))
        return self.op("Add", product, self._constant(bias, f"{name}.bias"))

    def _norm(self, name: str, value: ir.Value) -> ir.Value:
        scale, bias = (self._constant(self._weight(part), part) for part in (f"{name}.weight", f"{name}.bias"))
        return self.op("LayerNormalization", value, scale, bias, axis=-1, epsilon=self.config.layer_norm_eps)

    def _activation(self, kind: str, value: ir.Value) -> ir.Value:
        if kind != "gelu":
            return self.op({"relu": "Relu", "tanh": "Tanh"}[kind], value)
        # x/2 (1 + erf(x / √2)), written in the order that ONNX Runtime fuses.
        error = self.op("Erf", self.op("Div", value, np.float32(math.sqrt(2))))
        return self.op("Mul", self.op("Mul", value, self.op("Add", error, np.float32(1))), np.float32(0.5))

    def _embeddings(self) -> ir.Value:
        words = self._weight(f"{Deberta.words}.weight")
        if self.config.type_vocab_size > 0:  # all tokens are of type 0
            words = words + self._weight(f"{Deberta.types}.weight")[0]
        hidden = self.op("Gather", self._constant(words, f"{Deberta.words}.weight"), self.ids, axis=0)
        if self.config.position_biased_input:
            name = f"{Deberta.positions}.weight"
            table = self._constant(self._weight(name), name)
            hidden = self.op("Add", hidden, self.op("Slice", table, np.array([0]), self.length, np.array([0])))
        if f"{Deberta.widen}.weight" in self.weights:
            name = f"{Deberta.widen}.weight"
            hidden = self.op("MatMul", hidden, self._constant(self._weight(name).T, name))
        return self._norm(Deberta.norm, hidden)

    def _convolution(self, embedded: ir.Value, mask: ir.Value, hidden: ir.Value) -> ir.Value:
        """The n-gram layer of DeBERTa-v2 XL and XXL: over the embeddings, added to the first layer's output."""
        weight, bias = (
            self._constant(self._weight(part), part) for part in (f"{Deberta.conv}.weight", f"{Deberta.conv}.bias")
        )
        # Elsewhere padding is only ever masked as a key; a convolution would let it leak into its neighbours.
        visible = self.op("Mul", embedded, self.op("Unsqueeze", self.op("Cast", mask, to=1), np.array([2])))
        pad = (self.config.conv_kernel_size - 1) // 2
        groups = getattr(self.config, "conv_groups", 1)
        channels = self.op("Transpose", visible, perm=[0, 2, 1])
        out = self.op(
            "Transpose",
            self.op("Conv", channels, weight, bias, pads=[pad, pad], group=groups),
            perm=[0, 2, 1],
        )
        active = self._activation(getattr(self.config, "conv_act", "tanh"), out)
        return self._norm(Deberta.conv_norm, self.op("Add", hidden, active))

    def _relative_embeddings(self) -> torch.Tensor:
        """[buckets, hidden]"""
        relative = self.weights[f"{Deberta.relative}.weight"]
        if "layer_norm" in str(getattr(self.config, "norm_rel_ebd", "none")).lower():
            weight, bias = (self.weights[f"{Deberta.relative_norm}.{part}"] for part in ("weight", "bias"))
            relative = torch.nn.functional.layer_norm(
                relative, relative.shape[-1:], weight, bias, self.config.layer_norm_eps
            )
        return relative

    def _distances(self) -> tuple[ir.Value, tuple[ir.Value, ir.Value]]:
        """Buckets of all pairs [batch, heads, query, key], counted from the first in use; bounds of those in use."""
        array, reach = distance_buckets(self.config)
        table = self._constant(array, "distance_buckets")
        last = self.op("Min", self.op("Sub", self.length, np.array([1])), np.array([reach]))
        first = self.op("Gather", table, self.op("Sub", np.array([reach]), last), axis=0)
        stop = self.op(
            "Add",
            self.op("Gather", table, self.op("Add", last, np.array([reach])), axis=0),
            np.array([1], np.int32),
        )
        place = self.op("Range", np.array(0), self.op("Squeeze", self.length), np.array(1))
        distance = self.op(
            "Sub", self.op("Unsqueeze", place, np.array([1])), self.op("Unsqueeze", place, np.array([0]))
        )
        clipped = self.op("Clip", distance, np.array(-reach), np.array(reach))
        bucket = self.op("Gather", table, self.op("Add", clipped, np.array(reach)), axis=0)
        batch = self.op("Shape", self.ids, start=0, end=1)
        shape = self.op("Concat", batch, np.array([self.heads]), self.length, self.length, axis=0)
        return self.op("Expand", self.op("Sub", bucket, first), shape), (first, stop)

    def _attention(self, prefix: str, hidden: ir.Value) -> ir.Value:
        query = self._split(self._linear(prefix + Deberta.query, hidden, self.scale), [0, 2, 1, 3])
        key = self._split(self._linear(prefix + Deberta.key, hidden), [0, 2, 3, 1])
        value = self._split(self._linear(prefix + Deberta.value, hidden), [0, 2, 1, 3])
        score = self.op("MatMul", query, key)
        if "c2p" in self.terms:
            table = self._table(prefix, Deberta.key, Deberta.relative_key, [1, 2, 0], bucket_axis=2)
            score = self.op(
                "Add", score, self.op("GatherElements", self.op("MatMul", query, table), self.index, axis=3)
            )
        if "p2c" in self.terms:
            table = self._table(prefix, Deberta.query, Deberta.relative_query, [1, 0, 2], bucket_axis=1)
            score = self.op("Add", score, self.op("GatherElements", self.op("MatMul", table, key), self.index, axis=2))
        share = self.op("Softmax", self.op("Add", score, self.padding), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", share, value), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", mixed, np.array([0, 0, self.heads * self.width]))
        return self._linear(prefix + Deberta.mix, joined)

    def _split(self, value: ir.Value, order: list[int]) -> ir.Value:
        """[batch, length, hidden] by heads, from (batch, length, head, width) into `order`."""
        return self.op("Transpose", self.op("Reshape", value, np.array([0, 0, self.heads, self.width])), perm=order)

    def _table(self, prefix: str, shared: str, own: str, order: list[int], bucket_axis: int) -> ir.Value:
        """The projected relative positions, from (bucket, head, width) into `order`, cut to the buckets in use."""
        name = prefix + (shared if getattr(self.config, "share_att_key", False) else own)
        scale = self.scale if shared == Deberta.query else 1
        heads = (-1, self.heads, self.width)
        if self.fold:
            weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            projected = torch.nn.functional.linear(self.relative, weight, bias) * scale
            array = projected.view(heads).permute(order).contiguous().numpy()
            table = self._constant(array, f"{prefix}{shared}.of_buckets")
        else:
            relative = self._constant(self.relative.numpy(), f"{Deberta.relative}.weight")
            projection = self._linear(name, relative, scale)
            table = self.op("Transpose", self.op("Reshape", projection, np.array(heads)), perm=order)
        return self.op("Slice", table, *self.bounds, np.array([bucket_axis], np.int32))

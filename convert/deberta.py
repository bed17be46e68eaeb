"""DeBERTa-v2/v3 as an ONNX graph of our own: the same numbers as the stock export, fewer and cheaper nodes.

Disentangled attention (He et al. 2021, https://arxiv.org/abs/2006.03654, equation 4), r = t(q - k) a distance's bucket:
    score[q, k] = (Q[q] · K[k]  +  Q[q] · PK[r]  +  K[k] · PQ[r]) / sqrt(3 d)
- PK and PQ, the projections of the relative positions, are constants. `fold` computes them here, which makes the file
  bigger; else they stand as products of constants, which ONNX Runtime computes once, when it loads the graph.
- The scale is folded into the query projection, which is in two of the three terms, and so into PQ, the third.
What is common to the two graphs that are written: convert/portable.py for every ONNX Runtime, convert/fused.py for
one that has our operators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from convert.heads import Mlp
from convert.names import Deberta

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


class Encoder:
    """Writes the nodes, first to last, on a tape. Weights are shared with the model, not copied.

    Subclasses say how texts come in and how attention is computed, and may write other nodes for the rest.
    """

    # Of the operators beyond the standard ones, with their versions.
    domains: ClassVar[Mapping[str, int]] = {}
    ids: ir.Value

    def __init__(self, model: Any, fold: bool) -> None:
        self.config = config = model.config
        self.weights: dict[str, torch.Tensor] = {name: weight.detach() for name, weight in model.state_dict().items()}
        self.head = model.classifier
        self.fold = fold
        self.heads: int = config.num_attention_heads
        self.width: int = config.hidden_size // config.num_attention_heads
        self.terms = frozenset(config.pos_att_type or ())
        self.scale = 1 / math.sqrt(self.width * (1 + len(self.terms)))
        self.tape = ir.tape.Tape()
        self.constants: dict[Any, ir.Value] = {}
        self.relative = self._relative_embeddings()

    def graph(self, opset: int) -> ir.Graph:
        """From the inputs to the logits."""
        inputs = self.inputs()
        hidden = self._embeddings()
        embedded = hidden
        for layer in range(self.config.num_hidden_layers):
            prefix = Deberta.layer.format(layer)
            hidden = self.join(prefix + Deberta.mix_norm, self.attention(prefix, hidden), hidden)
            inner = self.linear(prefix + Deberta.up, hidden, activation=self.config.hidden_act)
            hidden = self.join(prefix + Deberta.down_norm, self.linear(prefix + Deberta.down, inner), hidden)
            if layer == 0:
                hidden = self.after_first_layer(embedded, hidden)
        logits = self.classify(hidden)
        logits.name, logits.dtype = "logits", ir.DataType.FLOAT
        logits.shape = ir.Shape([*cast(ir.Shape, self.ids.shape), self.config.num_labels])
        return ir.Graph(
            inputs,
            [logits],
            nodes=self.tape.nodes,
            initializers=tuple(self.constants.values()),
            opset_imports={"": opset, **self.domains},
            name="deberta",
        )

    def classify(self, hidden: ir.Value) -> ir.Value:
        """The head's logits."""
        if not isinstance(self.head, Mlp):
            return self.linear(Deberta.head, hidden)
        activation = None if self.head.kind == "none" else self.head.kind
        inner = self.linear(f"{Deberta.head}.dense", hidden, activation=activation)
        return self.linear(f"{Deberta.head}.out_proj", inner)

    def inputs(self) -> list[ir.Value]:
        """The graph's inputs, self.ids the first, and what all layers make of them."""
        raise NotImplementedError

    def attention(self, prefix: str, hidden: ir.Value) -> ir.Value:
        """Self-attention and the linear layer that mixes its heads."""
        raise NotImplementedError

    def positions(self, table: ir.Value) -> ir.Value:
        """Of the absolute positions, those of the tokens."""
        raise NotImplementedError

    def after_first_layer(self, embedded: ir.Value, hidden: ir.Value) -> ir.Value:
        """What DeBERTa-v2 XL and XXL do there, and no other."""
        return hidden

    def join(self, name: str, value: ir.Value, residual: ir.Value) -> ir.Value:
        """The normalised sum at the end of half a layer."""
        return self.norm(name, self.op("Add", value, residual))

    def linear(self, name: str, value: ir.Value, scale: float = 1, activation: str | None = None) -> ir.Value:
        """A product with a weight, plus its bias, through an activation."""
        weight, bias = self.matrix(name, scale), self.bias(name, scale)
        result = self.op("Add", self.op("MatMul", value, self.constant(weight, f"{name}.weight")), bias)
        return self.activation(activation, result) if activation else result

    def widen(self, name: str, value: ir.Value) -> ir.Value:
        """A product with a weight that has no bias."""
        return self.op("MatMul", value, self.constant(self.matrix(name), f"{name}.weight"))

    def op(self, kind: str, *inputs: ir.Value | Array | np.generic, **attributes: Any) -> ir.Value:
        """One node with one output; arrays among its inputs become constants."""
        values = [value if isinstance(value, ir.Value) else self.constant(np.asarray(value)) for value in inputs]
        return self.tape.op(kind, values, attributes)

    def constant(self, array: Array, name: str | None = None) -> ir.Value:
        """An initializer: one for every name, and one for every value that has no name."""
        key = name or (array.dtype.str, array.tobytes(), array.shape)
        if key not in self.constants:
            name = name or f"constant_{len(self.constants)}"
            self.constants[key] = ir.val(name, const_value=ir.tensor(array, name=name))
        return self.constants[key]

    def weight(self, name: str) -> Array:
        """One of the checkpoint's."""
        return self.weights[name].numpy()

    def matrix(self, name: str, scale: float = 1) -> Array:
        """The weight of a linear layer [in, out]."""
        weight: Array = self.weight(f"{name}.weight").T
        return weight if scale == 1 else weight * np.float32(scale)

    def bias(self, name: str, scale: float = 1) -> ir.Value:
        """The bias of a linear layer [out]."""
        bias = self.weight(f"{name}.bias")
        return self.constant(bias if scale == 1 else bias * np.float32(scale), f"{name}.bias")

    def norm(self, name: str, value: ir.Value) -> ir.Value:
        """Layer normalisation."""
        scale, bias = (self.constant(self.weight(part), part) for part in (f"{name}.weight", f"{name}.bias"))
        return self.op("LayerNormalization", value, scale, bias, axis=-1, epsilon=self.config.layer_norm_eps)

    def activation(self, kind: str, value: ir.Value) -> ir.Value:
        """One of ACTIVATIONS."""
        if kind != "gelu":
            return self.op({"relu": "Relu", "tanh": "Tanh"}[kind], value)
        # x/2 (1 + erf(x / √2)), written in the order that ONNX Runtime fuses.
        error = self.op("Erf", self.op("Div", value, np.float32(math.sqrt(2))))
        return self.op("Mul", self.op("Mul", value, self.op("Add", error, np.float32(1))), np.float32(0.5))

    def _embeddings(self) -> ir.Value:
        words = self.weight(f"{Deberta.words}.weight")
        if self.config.type_vocab_size > 0:  # all tokens are of type 0
            words = words + self.weight(f"{Deberta.types}.weight")[0]
        hidden = self.op("Gather", self.constant(words, f"{Deberta.words}.weight"), self.ids, axis=0)
        if self.config.position_biased_input:
            name = f"{Deberta.positions}.weight"
            hidden = self.op("Add", hidden, self.positions(self.constant(self.weight(name), name)))
        if f"{Deberta.widen}.weight" in self.weights:
            hidden = self.widen(Deberta.widen, hidden)
        return self.norm(Deberta.norm, hidden)

    def _relative_embeddings(self) -> torch.Tensor:
        """[buckets, hidden]"""
        relative = self.weights[f"{Deberta.relative}.weight"]
        if "layer_norm" in str(getattr(self.config, "norm_rel_ebd", "none")).lower():
            weight, bias = (self.weights[f"{Deberta.relative_norm}.{part}"] for part in ("weight", "bias"))
            relative = torch.nn.functional.layer_norm(
                relative, relative.shape[-1:], weight, bias, self.config.layer_norm_eps
            )
        return relative

    def table(self, prefix: str, shared: str, own: str) -> ir.Value:
        """The projected relative positions [heads, buckets, width]."""
        name = prefix + (shared if getattr(self.config, "share_att_key", False) else own)
        scale = self.scale if shared == Deberta.query else 1
        heads, order = (-1, self.heads, self.width), (1, 0, 2)
        if self.fold:
            weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            projected = torch.nn.functional.linear(self.relative, weight, bias) * scale
            array = projected.view(heads).permute(order).contiguous().numpy()
            return self.constant(array, f"{prefix}{shared}.of_buckets")
        relative = self.constant(self.relative.numpy(), f"{Deberta.relative}.weight")
        projection = Encoder.linear(self, name, relative, scale)
        return self.op("Transpose", self.op("Reshape", projection, np.array(heads)), perm=list(order))

"""The graph that every ONNX Runtime can run: a padded batch, standard operators.

- t is a constant table over all distances that still differ; longer ones are clipped to its ends: every length works.
- Both of DeBERTa's position terms are gathered by one shared int32 index [q, k]: PQ is multiplied from the left,
  PQ · Kᵀ, which leaves keys in the columns and saves the transposition of the stock graph.
- Short texts reach few buckets: the tables are cut to those before they are multiplied.
- Long texts are attended to head by head: the scores of one stay in the second-level cache, those of all do not.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bento.checkpoint.families.description import Layer
from bento.checkpoint.names import ACTIVATIONS
from convert.encoder import Encoder

# Added to the score of a masked key: far below any score, far above the lowest float.
MASKED = -1e30
# Up to this many tokens in a batch, one step has all heads: their scores are small, and each step has overhead.
ALL_HEADS_TOKENS = 128


class Portable(Encoder):
    """input_ids, attention_mask [batch, length] -> logits [batch, length, labels]."""

    def inputs(self) -> list[ir.Value]:
        """See Encoder."""
        shape = ir.Shape(["batch", "length"])
        self.ids = ir.val("input_ids", ir.DataType.INT64, shape)
        self.mask = ir.val("attention_mask", ir.DataType.INT64, shape)
        self.length = self.op("Shape", self.ids, start=1, end=2)
        padding = self.op("Mul", self.op("Sub", np.float32(1), self.op("Cast", self.mask, to=1)), np.float32(MASKED))
        padding = self.op("Unsqueeze", padding, np.array([0, 2]))
        few = self.op("LessOrEqual", self.op("Size", self.ids), np.array(ALL_HEADS_TOKENS))
        self.steps = self.op("Where", few, np.array([1]), np.array([self.its.heads]))
        layers = self.its.layers
        windows, bases = {layer.window for layer in layers}, {layer.rotary_base for layer in layers} - {0.0}
        if bases or windows != {0} or self.its.buckets is not None:
            count = self.op("Cast", self.op("Squeeze", self.length), to=ir.DataType.INT32)  # half of what lengths take
            self.place = self.op("Range", np.int32(0), count, np.int32(1))
        if windows != {0} or self.its.buckets is not None:
            columns, rows = (self.op("Unsqueeze", self.place, np.array([axis])) for axis in (0, 1))
            self.distance = self.op("Sub", rows, columns)
        self.hidden_keys = {window: self._hidden_keys(padding, window) for window in sorted(windows)}
        self.rotations = {base: self._rotation(base) for base in sorted(bases)}
        if self.its.bias:
            self.bias = self._by_steps(self._bias())
        elif self.its.buckets is not None:
            self.index, self.bounds = self._buckets()
        return [self.ids, self.mask]

    def positions(self, table: ir.Value) -> ir.Value:
        """See Encoder."""
        return self.op("Slice", table, np.array([0]), self.length, np.array([0]))

    def convolve(self, embedded: ir.Value, hidden: ir.Value) -> ir.Value:
        """See Encoder."""
        its = self.its.convolution
        assert its is not None  # noqa: S101 - the caller looked
        weight, bias = (self.constant(self.weight(part), part) for part in (f"{its.name}.weight", f"{its.name}.bias"))
        # Elsewhere padding is masked as a key; a convolution would mix it into its neighbours.
        visible = self.op("Mul", embedded, self.op("Unsqueeze", self.op("Cast", self.mask, to=1), np.array([2])))
        pad = (its.kernel - 1) // 2
        channels = self.op("Transpose", visible, perm=[0, 2, 1])
        out = self.op("Conv", channels, weight, bias, pads=[pad, pad], group=its.groups)
        active = self.activation(ACTIVATIONS[its.activation], self.op("Transpose", out, perm=[0, 2, 1]))
        return self.norm(its.norm, hidden, active)

    def attention(self, layer: Layer, query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        """See Encoder."""
        scanned = [self._split(part) for part in (query, key, value)]
        if layer.position_key:
            # Transposed here, as a constant, so that it costs nothing at run time.
            scanned.append(self._by_steps(self.op("Transpose", self.table(layer.position_key), perm=[0, 2, 1])))
        if layer.position_query:
            scanned.append(self._by_steps(self.table(layer.position_query, self.its.scale)))
        if self.its.bias:
            scanned.append(self.bias)
        mixed = self.op("Scan", *scanned, body=self._heads(layer, len(scanned)), num_scan_inputs=len(scanned))
        joined = self.op("Transpose", mixed, perm=[2, 3, 0, 1, 4])
        return self.op("Reshape", joined, np.array([0, 0, self.its.heads * self.its.head_size]))

    def _heads(self, layer: Layer, inputs: int) -> ir.Graph:
        """One step: from query, key, value [heads, batch, ...] and the tables [heads, 1, ...] to the context."""
        outer, self.tape = self.tape, ir.tape.Tape()
        query, key, value, *tables = scanned = [
            ir.val(f"heads.input_{place}", ir.DataType.FLOAT, ir.Shape([None] * 4)) for place in range(inputs)
        ]
        if layer.rotary_base:
            query, key = (self._rotated(part, layer.rotary_base) for part in (query, key))
        key = self.op("Transpose", key, perm=[0, 1, 3, 2])
        score = self.op("MatMul", query, key)
        if layer.position_key:
            product = self.op("MatMul", query, self._cut(tables[0], axis=3))
            score = self.op("Add", score, self.op("GatherElements", product, self.index, axis=3))
        if layer.position_query:
            product = self.op("MatMul", self._cut(tables[-1], axis=2), key)
            score = self.op("Add", score, self.op("GatherElements", product, self.index, axis=2))
        if self.its.bias:
            score = self.op("Add", score, tables[-1])
        share = self.op("Softmax", self.op("Add", score, self.hidden_keys[layer.window]), axis=-1)
        context = self.op("MatMul", share, value)
        context.dtype, context.shape = ir.DataType.FLOAT, ir.Shape([None] * 4)
        nodes, self.tape = self.tape.nodes, outer
        names = (f"heads.{number}" for number in range(1_000))
        for node in nodes:  # a name in a step must not be one of the graph's
            for output in node.outputs:
                output.name = next(names)
        return ir.Graph(scanned, [context], nodes=nodes, name="heads")

    def _hidden_keys(self, padding: ir.Value, window: int) -> ir.Value:
        """What is added to scores [heads, batch, query, key], so that padding and far keys get no share."""
        if not window:
            return padding
        far = self.op("Greater", self.op("Abs", self.distance), np.int32(window))
        return self.op("Add", padding, self.op("Where", far, np.float32(MASKED), np.float32(0)))

    def _rotation(self, base: float) -> tuple[ir.Value, ir.Value]:
        """Cosines and sines of every position's angles [length, head_size / 2]."""
        width = self.its.head_size
        speeds = 1.0 / (base ** (np.arange(0, width, 2, dtype=np.float32) / width))
        places = self.op("Unsqueeze", self.op("Cast", self.place, to=1), np.array([1]))
        angles = self.op("Mul", places, speeds.astype(np.float32))
        return self.op("Cos", angles), self.op("Sin", angles)

    def _rotated(self, value: ir.Value, base: float) -> ir.Value:
        """Each dimension d of the first half with d + head_size / 2 of the second, by its position's angle."""
        cosine, sine = self.rotations[base]
        first, second = self.ops("Split", 2, value, axis=-1, num_outputs=2)
        left = self.op("Sub", self.op("Mul", first, cosine), self.op("Mul", second, sine))
        right = self.op("Add", self.op("Mul", second, cosine), self.op("Mul", first, sine))
        return self.op("Concat", left, right, axis=-1)

    def _bias(self) -> ir.Value:
        """What every head adds for each distance [heads, query, key]."""
        of_distances = self.weight(f"{self.its.bias}.weight").T[:, self.its.buckets]
        index = self.op("Add", self._clipped(), np.int32(self.its.reach))
        return self.op("Gather", self.constant(of_distances, f"{self.its.bias}.of_distances"), index, axis=1)

    def _clipped(self) -> ir.Value:
        return self.op("Clip", self.distance, np.int32(-self.its.reach), np.int32(self.its.reach))

    def _buckets(self) -> tuple[ir.Value, tuple[ir.Value, ir.Value]]:
        """Buckets of all pairs [heads of a step, batch, query, key], from the first in use; bounds of those in use."""
        assert self.its.buckets is not None  # noqa: S101 - the caller looked
        reach = self.its.reach
        table = self.constant(self.its.buckets, "distance_buckets")
        last = self.op("Min", self.op("Sub", self.length, np.array([1])), np.array([reach]))
        first = self.op("Gather", table, self.op("Sub", np.array([reach]), last), axis=0)
        stop = self.op("Gather", table, self.op("Add", last, np.array([reach])), axis=0)
        stop = self.op("Add", stop, np.array([1], np.int32))
        bucket = self.op("Gather", table, self.op("Add", self._clipped(), np.int32(reach)), axis=0)
        batch = self.op("Shape", self.ids, start=0, end=1)
        together = self.op("Div", np.array([self.its.heads]), self.steps)
        shape = self.op("Concat", together, batch, self.length, self.length, axis=0)
        return self.op("Expand", self.op("Sub", bucket, first), shape), (first, stop)

    def _split(self, value: ir.Value) -> ir.Value:
        """[batch, length, hidden] as [step, head, batch, length, head_size]."""
        shape = self.op("Concat", np.array([0, 0]), self.steps, np.array([-1, self.its.head_size]), axis=0)
        return self.op("Transpose", self.op("Reshape", value, shape), perm=[2, 3, 0, 1, 4])

    def _by_steps(self, table: ir.Value) -> ir.Value:
        """[heads, ...] as [step, head, 1, ...]."""
        shape = self.op("Concat", self.steps, np.array([-1, 1]), self.op("Shape", table, start=1), axis=0)
        return self.op("Reshape", table, shape)

    def _cut(self, table: ir.Value, axis: int) -> ir.Value:
        """The buckets in use."""
        return self.op("Slice", table, *self.bounds, np.array([axis], np.int32))

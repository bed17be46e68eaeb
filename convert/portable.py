"""The graph that every ONNX Runtime can run: a padded batch, standard operators.

- t is a constant table over all distances that still differ; longer ones are clipped to its ends: every length works.
- Both position terms are gathered by one shared int32 index [q, k]: PQ is multiplied from the left, PQ · Kᵀ, which
  leaves keys in the columns and saves the transposition of the stock graph.
- Short texts reach few buckets: the tables are cut to those before they are multiplied.
- Long texts are attended to head by head: the scores of one stay in the second-level cache, those of all do not.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.deberta import Encoder, distance_buckets
from convert.names import Deberta

# Added to the score of a padded key; far below any score, far above the least float.
MASKED = -1e30
# Up to so many tokens in a batch, all heads at once: their scores are small, and a step has a cost of its own.
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
        self.padding = self.op("Unsqueeze", padding, np.array([0, 2]))
        few = self.op("LessOrEqual", self.op("Size", self.ids), np.array(ALL_HEADS_TOKENS))
        self.steps = self.op("Where", few, np.array([1]), np.array([self.heads]))
        self.index, self.bounds = self._distances()
        return [self.ids, self.mask]

    def positions(self, table: ir.Value) -> ir.Value:
        """See Encoder."""
        return self.op("Slice", table, np.array([0]), self.length, np.array([0]))

    def after_first_layer(self, embedded: ir.Value, hidden: ir.Value) -> ir.Value:
        """The n-gram layer: over the embeddings, added to the first layer's output."""
        if getattr(self.config, "conv_kernel_size", 0) <= 0:
            return hidden
        weight, bias = (
            self.constant(self.weight(part), part) for part in (f"{Deberta.conv}.weight", f"{Deberta.conv}.bias")
        )
        # Elsewhere padding is only ever masked as a key; a convolution would let it leak into its neighbours.
        visible = self.op("Mul", embedded, self.op("Unsqueeze", self.op("Cast", self.mask, to=1), np.array([2])))
        pad = (self.config.conv_kernel_size - 1) // 2
        groups = getattr(self.config, "conv_groups", 1)
        channels = self.op("Transpose", visible, perm=[0, 2, 1])
        out = self.op(
            "Transpose",
            self.op("Conv", channels, weight, bias, pads=[pad, pad], group=groups),
            perm=[0, 2, 1],
        )
        active = self.activation(getattr(self.config, "conv_act", "tanh"), out)
        return self.norm(Deberta.conv_norm, self.op("Add", hidden, active))

    def _distances(self) -> tuple[ir.Value, tuple[ir.Value, ir.Value]]:
        """Buckets of all pairs [heads of a step, batch, query, key], from the first in use; bounds of those in use."""
        array, reach = distance_buckets(self.config)
        table = self.constant(array, "distance_buckets")
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
        together = self.op("Div", np.array([self.heads]), self.steps)
        shape = self.op("Concat", together, batch, self.length, self.length, axis=0)
        return self.op("Expand", self.op("Sub", bucket, first), shape), (first, stop)

    def attention(self, prefix: str, hidden: ir.Value) -> ir.Value:
        """See Encoder."""
        query = self._split(self.linear(prefix + Deberta.query, hidden, self.scale))
        key, value = (self._split(self.linear(prefix + part, hidden)) for part in (Deberta.key, Deberta.value))
        tables = []
        if "c2p" in self.terms:
            # Turned while it is constant: that costs nothing at run time.
            tables.append(self.op("Transpose", self.table(prefix, Deberta.key, Deberta.relative_key), perm=[0, 2, 1]))
        if "p2c" in self.terms:
            tables.append(self.table(prefix, Deberta.query, Deberta.relative_query))
        scanned = query, key, value, *(self._by_steps(table) for table in tables)
        mixed = self.op("Scan", *scanned, body=self._heads(len(scanned)), num_scan_inputs=len(scanned))
        joined = self.op("Transpose", mixed, perm=[2, 3, 0, 1, 4])
        return self.linear(prefix + Deberta.mix, self.op("Reshape", joined, np.array([0, 0, self.heads * self.width])))

    def _heads(self, inputs: int) -> ir.Graph:
        """One step: from query, key, value [heads, batch, ...] and the tables [heads, 1, ...] to the context."""
        outer, self.tape = self.tape, ir.tape.Tape()
        query, key, value, *tables = scanned = [
            ir.val(f"heads.input_{place}", ir.DataType.FLOAT, ir.Shape([None] * 4)) for place in range(inputs)
        ]
        key = self.op("Transpose", key, perm=[0, 1, 3, 2])
        score = self.op("MatMul", query, key)
        if "c2p" in self.terms:
            product = self.op("MatMul", query, self._cut(tables[0], axis=3))
            score = self.op("Add", score, self.op("GatherElements", product, self.index, axis=3))
        if "p2c" in self.terms:
            product = self.op("MatMul", self._cut(tables[-1], axis=2), key)
            score = self.op("Add", score, self.op("GatherElements", product, self.index, axis=2))
        share = self.op("Softmax", self.op("Add", score, self.padding), axis=-1)
        context = self.op("MatMul", share, value)
        context.dtype, context.shape = ir.DataType.FLOAT, ir.Shape([None] * 4)
        nodes, self.tape = self.tape.nodes, outer
        for place, node in enumerate(nodes):  # a name in a step must not be one of the graph's
            node.outputs[0].name = f"heads.{place}"
        return ir.Graph(scanned, [context], nodes=nodes, name="heads")

    def _split(self, value: ir.Value) -> ir.Value:
        """[batch, length, hidden] as [step, head, batch, length, width]."""
        shape = self.op("Concat", np.array([0, 0]), self.steps, np.array([-1, self.width]), axis=0)
        return self.op("Transpose", self.op("Reshape", value, shape), perm=[2, 3, 0, 1, 4])

    def _by_steps(self, table: ir.Value) -> ir.Value:
        """[heads, ...] as [step, head, 1, ...]."""
        shape = self.op("Concat", self.steps, np.array([-1, 1]), self.op("Shape", table, start=1), axis=0)
        return self.op("Reshape", table, shape)

    def _cut(self, table: ir.Value, axis: int) -> ir.Value:
        """The buckets in use."""
        return self.op("Slice", table, *self.bounds, np.array([axis], np.int32))

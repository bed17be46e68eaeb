"""Which graph of DeBERTa does ONNX Runtime run fastest? One text a run, one thread, everything interleaved.

Two questions: how to pick the two position terms of attention (a gather by a shared index of 32 or of 64
bits, or the skew of a product with all 2S-1 distances), and what our graph and our INT8 pass gain over the stock
export and `quantize_dynamic`. Layers have the width of deberta-v3-large; there are few of them, which does not change
ratios. Prints the result, and writes it to benchmarks/results/graphs.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks.convert_large import LARGE
from benchmarks.harness import RESULTS, machine
from benchmarks.stock import trace
from bento.checkpoint.families import deberta
from convert import export, quantize
from convert.portable import Portable

HEADS, WIDTH = LARGE["num_attention_heads"], LARGE["hidden_size"] // LARGE["num_attention_heads"]
Run = Callable[[], object]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 66, 128, 455])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.manual_seed(0)
    config = transformers.DebertaV2Config(**LARGE | {"num_hidden_layers": options.layers, "vocab_size": 2000})
    config._attn_implementation = "eager"
    model: Any = transformers.DebertaV2ForTokenClassification(config)
    model.eval()
    with tempfile.TemporaryDirectory() as scratch:
        graphs = _graphs(model, Path(scratch))
    result = {
        "question": "milliseconds a text on one thread, and how many times faster than the first of each group",
        "layers": options.layers,
        "position_terms": {n: time_interleaved(_terms(config, n), options.repeats) for n in options.lengths},
        "graph": {n: time_interleaved(_texts(graphs, n), options.repeats) for n in options.lengths},
        "machine": machine(),
        "onnxruntime": ort.__version__,
    }
    print(json.dumps(result, indent=2))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "graphs.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def time_interleaved(runs: Mapping[str, Run], repeats: int) -> dict[str, dict[str, float]]:
    """Run each in turn, `repeats` times after a first one that does not count; medians, and ratios to the first's."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    first = next(iter(medians.values()))
    return {
        name: {"ms": round(value * 1e3, 2), "times_faster": round(first / value, 2)} for name, value in medians.items()
    }


def _session(model: ir.Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])


def _graphs(model: transformers.PreTrainedModel, scratch: Path) -> dict[str, ort.InferenceSession]:
    logging.disable(logging.ERROR)  # quantize_dynamic would have the model preprocessed, which changes nothing here
    stock = trace(model)
    ir.save(stock, scratch / "stock.onnx")
    quantize_dynamic(
        scratch / "stock.onnx",
        scratch / "plain.onnx",
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    int8 = export.model(Portable(model, fold=True))
    quantize.quantize(int8)
    graphs = {
        "stock export, quantize_dynamic": ir.load(scratch / "plain.onnx"),
        "our graph, our INT8": int8,
        "stock export, FP32": stock,
        "our graph, FP32": export.model(Portable(model, fold=False)),
    }
    return {name: _session(graph) for name, graph in graphs.items()}


def _texts(graphs: Mapping[str, ort.InferenceSession], length: int) -> dict[str, Run]:
    ids = np.random.default_rng(0).integers(5, 2000, (1, length))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return {name: partial(session.run, None, feeds) for name, session in graphs.items()}


def _terms(config: transformers.PretrainedConfig, length: int) -> dict[str, Run]:
    """Both position terms Q . PK + K . PQ of every pair [1, heads, length, length], from tables by bucket."""
    buckets = deberta.distance_buckets(config)
    reach = len(buckets) // 2

    def bucket(distance: np.ndarray) -> np.ndarray:
        found: np.ndarray = buckets[np.clip(distance, -reach, reach) + reach]
        return found

    random = np.random.default_rng(0)
    query, key = (random.normal(size=(1, HEADS, length, WIDTH)).astype(np.float32) for _ in range(2))
    tables = [random.normal(size=(HEADS, WIDTH, int(buckets.max()) + 1)).astype(np.float32) for _ in range(2)]
    place = np.arange(length)
    index = bucket(place[:, None] - place[None, :])
    first, last = int(index.min()), int(index.max())
    shape = (1, HEADS, length, length)
    ends = {"start": np.array([first]), "stop": np.array([last + 1])}
    away = np.arange(2 * length - 1) - (length - 1)
    feeds = {
        "gather, int64 index": {"index": np.broadcast_to(index - first, shape).astype(np.int64)} | ends,
        "gather, int32 index": {"index": np.broadcast_to(index - first, shape).astype(np.int32)} | ends,
        "skew": {"columns": bucket(-away), "key_columns": bucket(away)},
    }
    runs: dict[str, Run] = {}
    answers = []
    for name, own in feeds.items():
        given = {"query": query, "key": key} | {name: np.ascontiguousarray(array) for name, array in own.items()}
        session = _session(_term(tables, given, skewed=name == "skew"))
        runs[name] = partial(session.run, None, given)
        answers.append(session.run(None, given)[0])
        np.testing.assert_allclose(answers[-1], answers[0], rtol=1e-3, atol=1e-3)
    return runs


def _term(tables: list[np.ndarray], feeds: Mapping[str, np.ndarray], skewed: bool) -> ir.Model:
    tape = ir.tape.Tape()
    given = {
        name: ir.val(name, ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)) for name, array in feeds.items()
    }
    query, key = given["query"], given["key"]
    length = feeds["query"].shape[2]

    def op(kind: str, *inputs: ir.Value | np.ndarray | list[int], **attributes: Any) -> ir.Value:
        values = [value if isinstance(value, ir.Value) else constant(np.array(value)) for value in inputs]
        return tape.op(kind, values, attributes)

    def constant(array: np.ndarray) -> ir.Value:
        return tape.initializer(ir.tensor(array, name=f"constant_{len(tape.initializers)}"))

    def skew(product: ir.Value) -> ir.Value:
        # Row q of a [length, 2 length - 1] product wants its columns shifted by q: read flat, from length - 1 on, in
        # rows that are one shorter.
        flat = op("Reshape", product, [1, HEADS, -1])
        cut = op("Slice", flat, [length - 1], [length - 1 + length * (2 * length - 2)], [2])
        return op("Slice", op("Reshape", cut, [1, HEADS, length, 2 * length - 2]), [0], [length], [3])

    if skewed:
        by_query = skew(op("MatMul", query, op("Gather", tables[0], given["columns"], axis=2)))
        by_key = skew(op("MatMul", key, op("Gather", tables[1], given["key_columns"], axis=2)))
        result = op("Add", by_query, op("Transpose", by_key, perm=[0, 1, 3, 2]))
    else:
        ends, index = (given["start"], given["stop"]), given["index"]
        across = op("MatMul", query, op("Slice", tables[0], *ends, [2]))
        down = op(
            "MatMul", op("Slice", tables[1].transpose(0, 2, 1), *ends, [1]), op("Transpose", key, perm=[0, 1, 3, 2])
        )
        result = op("Add", op("GatherElements", across, index, axis=3), op("GatherElements", down, index, axis=2))
    result.name, result.dtype, result.shape = "terms", ir.DataType.FLOAT, ir.Shape([1, HEADS, length, length])
    graph = ir.Graph(
        list(given.values()),
        [result],
        nodes=tape.nodes,
        initializers=tape.initializers,
        opset_imports={"": export.OPSET},
    )
    return ir.Model(graph, ir_version=export.IR_VERSION)


if __name__ == "__main__":
    main()

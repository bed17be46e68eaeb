"""Which graph of DeBERTa does ONNX Runtime run fastest? One text a run, one thread, everything interleaved.

Two questions: how to pick the relative positions of one attention term (a gather by a shared index of 32 or of 64
bits, or the skew of a product with all 2S-1 distances), and what our graph and our INT8 pass gain over the stock
export and `quantize_dynamic`. Layers have the width of deberta-v3-large; there are few of them, which ratios do not
mind. Prints the result, and writes it to benchmarks/results/graphs.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks.convert_large import LARGE
from benchmarks.request import RESULTS, machine
from convert import deberta, export, quantize

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
    model = transformers.DebertaV2ForTokenClassification(config).eval()
    with tempfile.TemporaryDirectory() as scratch:
        graphs = _graphs(model, Path(scratch))
    result = {
        "question": "milliseconds a text on one thread, and how many times faster than the first of each group",
        "layers": options.layers,
        "position_term": {n: _time(_terms(config, n), options.repeats) for n in options.lengths},
        "graph": {n: _time(_texts(graphs, n), options.repeats) for n in options.lengths},
        "machine": machine(),
        "onnxruntime": ort.__version__,
    }
    print(json.dumps(result, indent=2))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "graphs.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _time(runs: Mapping[str, Run], repeats: int) -> dict[str, dict[str, float]]:
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
    stock = export.trace(model)
    ir.save(stock, scratch / "stock.onnx")
    quantize_dynamic(
        scratch / "stock.onnx",
        scratch / "plain.onnx",
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    int8 = deberta.build(model, export.OPSET, export.IR_VERSION, fold=True)
    quantize.quantize(int8)
    graphs = {
        "stock export, quantize_dynamic": ir.load(scratch / "plain.onnx"),
        "our graph, our INT8": int8,
        "stock export, FP32": stock,
        "our graph, FP32": deberta.build(model, export.OPSET, export.IR_VERSION, fold=False),
    }
    return {name: _session(graph) for name, graph in graphs.items()}


def _texts(graphs: Mapping[str, ort.InferenceSession], length: int) -> dict[str, Run]:
    ids = np.random.default_rng(0).integers(5, 2000, (1, length))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return {name: lambda session=session: session.run(None, feeds) for name, session in graphs.items()}


def _terms(config: transformers.PretrainedConfig, length: int) -> dict[str, Run]:
    """Q . PK for every pair [1, heads, length, length], from Q and a table by bucket or by distance."""
    buckets, reach = deberta.distance_buckets(config)
    distance = np.clip(np.arange(length)[:, None] - np.arange(length)[None, :], -reach, reach) + reach
    index = buckets[distance]
    used = int(index.max() - index.min()) + 1
    random = np.random.default_rng(0)
    query = random.normal(size=(1, HEADS, length, WIDTH)).astype(np.float32)
    runs: dict[str, Run] = {}
    for name, kind in (("gather, int64 index", np.int64), ("gather, int32 index", np.int32), ("skew", None)):
        columns = used if kind else 2 * length - 1
        table = random.normal(size=(HEADS, WIDTH, columns)).astype(np.float32)
        feeds = {"query": query}
        if kind:
            feeds["index"] = np.broadcast_to(index - index.min(), (1, HEADS, length, length)).astype(kind)
        session = _session(_term(table, length, kind))
        runs[name] = lambda session=session, feeds=feeds: session.run(None, feeds)
    return runs


def _term(table: np.ndarray, length: int, kind: type[np.generic] | None) -> ir.Model:
    square = ir.Shape([1, HEADS, length, length])
    query = ir.val("query", ir.DataType.FLOAT, ir.Shape([1, HEADS, length, WIDTH]))
    inputs, tape = [query], ir.tape.Tape()

    def constant(array: np.ndarray, name: str) -> ir.Value:
        return tape.initializer(ir.tensor(array, name=name))

    product = tape.op("MatMul", [query, constant(table, "table")])
    if kind:
        index = ir.val("index", ir.DataType.from_numpy(np.dtype(kind)), square)
        inputs.append(index)
        result = tape.op("GatherElements", [product, index], {"axis": 3})
    else:
        # Row q of a [length, 2 length - 1] product wants its columns shifted by q: read flat, from length - 1 on, in
        # rows that are one shorter.
        flat = tape.op("Reshape", [product, constant(np.array([1, HEADS, -1]), "flat")])
        ends = (length - 1, length - 1 + length * (2 * length - 2))
        start, stop = (constant(np.array([end]), f"end{end}") for end in ends)
        cut = tape.op("Slice", [flat, start, stop, constant(np.array([2]), "axis2")])
        rows = tape.op("Reshape", [cut, constant(np.array([1, HEADS, length, 2 * length - 2]), "rows")])
        bounds = constant(np.array([0]), "zero"), constant(np.array([length]), "length")
        result = tape.op("Slice", [rows, *bounds, constant(np.array([3]), "axis3")])
    result.name, result.dtype, result.shape = "term", ir.DataType.FLOAT, square
    graph = ir.Graph(
        inputs, [result], nodes=tape.nodes, initializers=tape.initializers, opset_imports={"": export.OPSET}
    )
    return ir.Model(graph, ir_version=export.IR_VERSION)


if __name__ == "__main__":
    main()

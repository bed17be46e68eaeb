"""What does one activation scale a token cost, against one a tensor? One INT8 product on one thread, interleaved.

`DynamicQuantizeLinear` knows one scale for its whole input. One a token takes operators of its own: the largest
magnitude of each row, a division, a rounding, a shift to u8. Widths are deberta-v3-large's; one token in a hundred is
fifty times larger than the rest, so that the errors show what the finer scale gains. Prints the result, and writes it
to benchmarks/results/scales.json.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from benchmarks.graphs import time_interleaved
from benchmarks.harness import RESULTS, machine

SHAPES = {"1024 x 1024": (1024, 1024), "1024 x 4096": (1024, 4096), "4096 x 1024": (4096, 1024)}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[66, 455])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    result = {
        "question": "milliseconds of an INT8 product, and how many times faster than the first of each group",
        "products": {
            f"{length} tokens, {name}": _compare(length, shape, options.repeats)
            for length in options.lengths
            for name, shape in SHAPES.items()
        },
        "machine": machine(),
        "onnxruntime": ort.__version__,
    }
    print(json.dumps(result, indent=2))
    (RESULTS / "scales.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _compare(length: int, shape: tuple[int, int], repeats: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((length, shape[0])).astype(np.float32)
    x[::100] *= 50
    weight = rng.standard_normal(shape).astype(np.float32)
    runs = {kind: _session(kind, weight) for kind in ("a scale a tensor", "a scale a token")}
    measured = time_interleaved({kind: partial(run.run, None, {"x": x}) for kind, run in runs.items()}, repeats)
    exact = x @ weight
    usual = np.ones(length, dtype=bool)
    usual[::100] = False
    for kind, run in runs.items():
        error = (run.run(None, {"x": x})[0] - exact)[usual]
        measured[kind]["relative_error_of_usual_tokens"] = round(float(error.std() / exact[usual].std()), 4)
    return measured


def _session(kind: str, weight: np.ndarray) -> ort.InferenceSession:
    scale = np.abs(weight).max(axis=0) / 127
    constants = {
        "w": np.rint(weight / scale).astype(np.int8),
        "ws": scale.astype(np.float32),
        "levels": np.float32(127),
        "shift": np.float32(128),
        "zero": np.uint8(128),
        "last": np.array([-1]),
    }
    if kind == "a scale a tensor":
        nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])]
    else:
        nodes = [
            helper.make_node("Abs", ["x"], ["size"]),
            helper.make_node("ReduceMax", ["size", "last"], ["peak"], keepdims=1),
            helper.make_node("Div", ["peak", "levels"], ["s"]),
            helper.make_node("Div", ["x", "s"], ["steps"]),
            helper.make_node("Round", ["steps"], ["round"]),
            helper.make_node("Add", ["round", "shift"], ["shifted"]),
            helper.make_node("Cast", ["shifted"], ["q"], to=TensorProto.UINT8),
            helper.make_node("Identity", ["zero"], ["z"]),
        ]
    nodes += [
        helper.make_node("MatMulInteger", ["q", "w", "z"], ["integers"]),
        helper.make_node("Cast", ["integers"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "ws"], ["scales"]),
        helper.make_node("Mul", ["wide", "scales"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["length", weight.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["length", weight.shape[1]])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()

"""How many operations a second does this processor reach, in INT8, BF16 and FP32, and the libraries on it?

The processor's own: loops of the widest instructions on registers (native/cpu/peak.cpp, which also reads memory). No
matrix product can be faster, so this is what an engine's share is of. Beside it the best of several shapes of each
library: u8 x s8 by ONNX Runtime's MatMulInteger, FP32 by its MatMul and by torch, BF16 by torch. For one core and for
all. Prints the result, and writes it to benchmarks/results/roofline.json; benchmarks/engines.py measures it again
within its own run. Needs wordtell's own library (`make native`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import get_args

import numpy as np

from benchmarks import harness
from bento.native import peak
from bento.settings import ROOT

# Rows, inner, columns: products of deberta-v3-large for several texts at once, and a square one.
SHAPES = ((455, 1024, 4096), (2048, 1024, 4096), (2048, 4096, 1024), (2048, 2048, 2048))
Peaks = dict[str, dict[str, float]]
# The name of what the processor itself reaches, by its fastest instruction.
PROCESSOR = "processor"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="spent on each shape and library")
    options = parser.parse_args()
    harness.pin(options.cores)
    result = {
        "question": "billions of operations a second (a multiplication and an addition are two) by type",
        "peaks": measure(options.cores, options.seconds),
        "versions": harness.versions("onnxruntime", "torch"),
    }
    harness.write("roofline", result)


def measure(cores: int, seconds: float) -> dict[str, Peaks]:
    """Billions of operations a second: for one core and for all, by type, the best and each library's own."""
    return {"one core": _apart(1, seconds), "all cores": _apart(cores, seconds)}


def _apart(threads: int, seconds: float) -> Peaks:
    """The processor's own, then the libraries in a process of their own, which leaves no thread pool behind."""
    own = _processor(threads, seconds)
    command = f"import json; from benchmarks import roofline; print(json.dumps(roofline.peaks({threads}, {seconds})))"
    made = subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True, capture_output=True, text=True)
    libraries: Peaks = json.loads(made.stdout.splitlines()[-1])
    return {kind: {PROCESSOR: max(by.values()), **by, **libraries.get(kind, {})} for kind, by in own.items()}


def _processor(threads: int, seconds: float) -> Peaks:
    """By type and instruction, what registers alone reach; "memory" is read in GB/s. Raises RuntimeError."""
    if not (found := {kind: by for kind in get_args(peak.Kind) if (by := peak.measure(kind, threads, seconds))}):
        raise RuntimeError("the roofline needs wordtell's own library: install g++ or set CXX, and run `make native`")
    return found


def peaks(threads: int, seconds: float) -> Peaks:
    """Each library's best shape, by type."""
    import onnxruntime  # noqa: F401 - before pinning: loaded on a single core, it leaves AMX alone

    harness.pin(threads)
    best: Peaks = {}
    for shape in SHAPES:
        for kind, library, run in _products(shape, threads):
            speed = 2 * float(np.prod(shape)) / _fastest(run, seconds) / 1e9
            known = best.setdefault(kind, {})
            known[library] = round(max(speed, known.get(library, 0.0)), 1)
    return best


def _fastest(run: Callable[[], object], seconds: float) -> float:
    run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not times:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _products(shape: tuple[int, int, int], threads: int) -> Iterator[tuple[str, str, Callable[[], object]]]:
    import torch

    rows, inner, columns = shape
    torch.set_num_threads(threads)
    random = np.random.default_rng(0)
    a8 = random.integers(0, 255, (rows, inner), dtype=np.uint8)
    b8 = random.integers(-127, 127, (inner, columns), dtype=np.int8)
    yield "int8", "onnxruntime MatMulInteger", _onnx("MatMulInteger", a8, b8, threads)
    a, b = (random.normal(size=size).astype(np.float32) for size in ((rows, inner), (inner, columns)))
    yield "fp32", "onnxruntime MatMul", _onnx("MatMul", a, b, threads)
    for kind, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        x, y = (torch.from_numpy(array).to(dtype) for array in (a, b))
        yield kind, "torch", partial(torch.matmul, x, y)


def _onnx(kind: str, a: np.ndarray, b: np.ndarray, threads: int) -> Callable[[], object]:
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    element = TensorProto.UINT8 if kind == "MatMulInteger" else TensorProto.FLOAT
    result = TensorProto.INT32 if kind == "MatMulInteger" else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(kind, ["a", "b"], ["c"])],
        kind,
        [helper.make_tensor_value_info("a", element, a.shape)],
        [helper.make_tensor_value_info("c", result, (len(a), b.shape[1]))],
        [numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a})


if __name__ == "__main__":
    main()

"""The fused operators in ONNX Runtime, against their formulas in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime as ort
import pytest
from numpy.testing import assert_allclose
from onnx import TensorProto, helper, numpy_helper

from bento.native import LIBRARY

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="the fused operators are built with a C++ compiler")

BEGINS = np.array([0, 1, 50, 90], np.int64)
TOKENS = int(BEGINS[-1])
Arrays = dict[str, "np.ndarray[Any, Any] | None"]


def run(kind: str, inputs: Arrays, outputs: Sequence[int], constants: tuple[str, ...], **attributes: Any) -> Any:
    """One node in a session of its own. outputs: element types, 0 for one that is left out; inputs of None are, too."""
    names = [name if value is not None else "" for name, value in inputs.items()]
    node = helper.make_node(
        kind, names, [f"out{i}" if kind_ else "" for i, kind_ in enumerate(outputs)], domain="wordtell", **attributes
    )
    given = {name: value for name, value in inputs.items() if value is not None and name not in constants}
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in given.items()],
        [helper.make_tensor_value_info(f"out{i}", t, None) for i, t in enumerate(outputs) if t],
        [numpy_helper.from_array(value, name) for name in constants if (value := inputs[name]) is not None],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("wordtell", 1)], ir_version=10
    )
    options = ort.SessionOptions()
    options.register_custom_ops_library(str(LIBRARY))
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, given)


def turned(x: np.ndarray[Any, Any], base: float) -> np.ndarray[Any, Any]:
    """[length, size] by rotate_half, as the Transformers library has it."""
    size = x.shape[-1]
    angle = np.arange(len(x))[:, None] * base ** (-2.0 * (np.arange(size) % (size // 2)) / size)
    half = np.concatenate([-x[:, size // 2 :], x[:, : size // 2]], axis=-1)
    found: np.ndarray[Any, Any] = x * np.cos(angle) + half * np.sin(angle)
    return found


def expected(q: Any, k: Any, v: Any, heads: int, bias: Any, buckets: Any, window: int, base: float) -> Any:
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    size, out = q.shape[1] // heads, np.zeros(q.shape)
    for begin, end in pairwise(BEGINS):
        for head in range(heads):
            part = np.s_[begin:end, head * size : (head + 1) * size]
            query, key = (turned(x[part], base) if base else x[part] for x in (q, k))
            scores = query @ key.T
            distance = np.subtract.outer(np.arange(end - begin), np.arange(end - begin))
            if bias is not None:
                reach = len(buckets) // 2
                scores = scores + bias[head, buckets[np.clip(distance, -reach, reach) + reach]]
            if window:
                scores = np.where(np.abs(distance) <= window, scores, -np.inf)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[part] = shares / shares.sum(axis=1, keepdims=True) @ v[part]
    return out


def attend(int8: int, narrow: bool, size: int, biased: bool, window: int, base: float) -> tuple[Any, Any]:
    random, heads = np.random.default_rng(size), 3
    q, k, v = (random.normal(size=(TOKENS, heads * size)).astype(np.float32) for _ in range(3))
    q /= math.sqrt(size)
    bias = random.normal(size=(heads, 8)).astype(np.float32) if biased else None
    buckets = random.integers(0, 8, 2 * 20 + 1).astype(np.int32) if biased else None
    if narrow:
        q, k, v = (x.astype(ml_dtypes.bfloat16) for x in (q, k, v))
    inputs: Arrays = {"q": q, "k": k, "v": v, "boundaries": BEGINS, "buckets": buckets}
    inputs |= {"keys": None, "queries": None, "scales": None, "scales2": None, "bias": bias}
    attributes: dict[str, Any] = {"heads": heads, "head_size": size, "int8": int8}
    if window:
        attributes["window"] = window
    if base:
        attributes["rotary_base"] = base
    if narrow:  # NumPy's bfloat16 does not go into a session: the graph narrows
        found = run_narrow(inputs, attributes)
    else:
        (found,) = run("Attention", inputs, [TensorProto.FLOAT], ("buckets", "bias"), **attributes)
    return found, expected(q, k, v, heads, bias, buckets, window, base)


def run_narrow(inputs: Arrays, attributes: dict[str, Any]) -> Any:
    casts = [helper.make_node("Cast", [n + "32"], [n], to=TensorProto.BFLOAT16) for n in "qkv"]
    node = helper.make_node("Attention", [n if v is not None else "" for n, v in inputs.items()], ["out"],
                            domain="wordtell", **attributes)  # fmt: skip
    feeds = {n + "32": np.asarray(inputs[n], np.float32) for n in "qkv"} | {"boundaries": BEGINS}
    graph = helper.make_graph(
        [*casts, node],
        "narrow",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in feeds.items()],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name in ("buckets", "bias") if (value := inputs[name]) is not None],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("wordtell", 1)], ir_version=10
    )
    options = ort.SessionOptions()
    options.register_custom_ops_library(str(LIBRARY))
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


@pytest.mark.parametrize(
    ("biased", "window", "base"),
    [(False, 0, 0.0), (True, 0, 0.0), (False, 7, 0.0), (False, 0, 1e4), (True, 16, 160000.0)],
)
@pytest.mark.parametrize("size", [8, 32, 64, 72])
def test_attention_of_every_kind(size: int, biased: bool, window: int, base: float) -> None:
    for int8 in (0, 1):
        for narrow in (False, True):
            found, wanted = attend(int8, narrow, size, biased, window, base)
            assert_allclose(found, wanted, rtol=0, atol=0.1 if int8 else 2e-5)


def norm(x: Any, gain: Any, bias: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * gain + (0 if bias is None else bias)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("smoothed", [False, True])
def test_norm_of_every_kind(residual: bool, biased: bool, smoothed: bool) -> None:
    random, width = np.random.default_rng(1), 100
    x, y = (random.normal(size=(70, width)).astype(np.float32) for _ in range(2))
    gain, bias, smooth = (random.uniform(0.5, 2, width).astype(np.float32) for _ in range(3))
    inputs: Arrays = {"x": x, "y": y if residual else None, "gain": gain, "bias": bias if biased else None}
    inputs["smooth"] = smooth if smoothed else None
    outputs = [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.FLOAT]
    found, rows, total = run("AddLayerNorm", inputs, outputs, ("gain", "bias", "smooth"), epsilon=1e-5)
    wanted = x + y if residual else x
    assert np.array_equal(total, wanted)
    wanted = norm(wanted, gain, inputs["bias"])
    assert_allclose(found, wanted, rtol=0, atol=2e-5)
    scale = rows[:, 128:132].copy().view(np.float32)
    zero = rows[:, 132:136].copy().view(np.int32)
    recovered = (rows[:, :width].astype(np.float32) - zero) * scale
    assert_allclose(recovered, wanted * (smooth if smoothed else 1), rtol=0, atol=0.51 * scale.max())


ACTIVATIONS = {
    "": lambda x: x,
    "gelu": lambda x: x * np.vectorize(math.erfc)(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("gated", [0, 1])
@pytest.mark.parametrize("smoothed", [False, True])
def test_linear_of_every_kind(activation: str, gated: int, smoothed: bool) -> None:
    random, depth, columns = np.random.default_rng(2), 130, 1000
    x = random.normal(size=(TOKENS, depth)).astype(np.float32)
    weight = random.integers(-127, 128, (depth, columns)).astype(np.int8)
    scale = random.uniform(0.5, 1.5, columns).astype(np.float32) / 500
    bias = random.normal(size=columns).astype(np.float32)
    smooth = random.uniform(0.5, 2, depth).astype(np.float32)
    inputs: Arrays = {"x": x, "weight": weight, "scale": scale, "bias": bias, "smooth": smooth if smoothed else None}
    found = run("QuantizedLinear", inputs, [TensorProto.FLOAT, TensorProto.BFLOAT16][:1],
                ("weight", "scale", "bias", "smooth"), activation=activation, gated=gated)[0]  # fmt: skip
    rows = x * smooth if smoothed else x
    least, most = np.minimum(rows.min(1, keepdims=True), 0), np.maximum(rows.max(1, keepdims=True), 0)
    step = (most - least) / 255
    whole = np.rint(rows / step) * step
    product = whole.astype(np.float64) @ (weight * scale.astype(np.float64)) + bias
    a, b = np.split(product, 2, axis=1) if gated else (product, 1)
    assert_allclose(found, ACTIVATIONS[activation](a) * b, rtol=0.02, atol=0.03)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"heads": 2}, "head_size must be given"),
        ({"heads": 2, "head_size": 300}, "a head size of 300 is not from 1 to 256"),
        ({"heads": 2, "head_size": 8, "window": -1}, "a window of attention is at least 0"),
        ({"heads": 2, "head_size": 8, "rotary_base": -1.0}, "a rotary base is a positive number"),
        ({"heads": 2, "head_size": 7, "rotary_base": 1.0}, "the head size must be even"),
    ],
)
def test_attention_that_cannot_be_is_refused(attributes: dict[str, Any], message: str) -> None:
    q = np.zeros((TOKENS, 16), np.float32)
    inputs: Arrays = {"q": q, "k": q, "v": q, "boundaries": BEGINS}
    with pytest.raises(Exception, match=message):
        run("Attention", inputs, [TensorProto.FLOAT], (), **attributes)


def test_an_activation_that_there_is_not_is_named() -> None:
    inputs: Arrays = {"x": np.zeros((2, 3), np.float32), "w": np.ones((3, 2), np.int8), "s": np.ones(2, np.float32)}
    with pytest.raises(Exception, match='activation "swish" is none of gelu, gelu_tanh, relu, silu'):
        run("QuantizedLinear", inputs, [TensorProto.FLOAT], ("w", "s"), activation="swish")

"""The exported graph against PyTorch, for every architecture and the lengths at which exports break."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
import transformers
from numpy.testing import assert_allclose

from bento import artifact
from bento.checkpoint import reading as checkpoint
from bento.engines.onnx import OnnxRunner
from convert import export, folder, quantize, sensitivity
from tests.convert.conftest import CHECKPOINTS, LABELS, VOCABULARY, build

# One token, two; around the window of logarithmic buckets; beyond the longest distance that has a bucket.
LENGTHS = (1, 2, 7, 63, 64, 65, 300, 512, 700)
PADDED_LENGTHS = (1, 7, 65, 300)
INT8_LENGTHS = (1, 64, 300)
FP32_LOGITS = 1e-4
FP32_PROBABILITY = 1e-5
# Random weights have no margins, so INT8 moves these models more than a trained one.
INT8_MEAN_PROBABILITY = 0.02


@dataclass
class Converted:
    """One checkpoint in PyTorch and as two folders."""

    model: Any
    fp32: Path
    int8: Path
    products: dict[str, int]


@pytest.fixture(scope="module", params=list(CHECKPOINTS))
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Converted:
    root = tmp_path_factory.mktemp(request.param)
    source = root / "checkpoint"
    head = transformers.AutoModelForTokenClassification
    build(source, request.param, head, LABELS, torch.float32)
    tokenizer.save(str(source / "tokenizer.json"))
    read = checkpoint.read(str(source))
    precisions: tuple[artifact.Precision, ...] = ("fp32", "int8")
    for precision in precisions:
        graph = export.export(read, precision)
        if precision == "int8":
            products = quantize.products(graph)
            quantize.quantize(graph)
        export.check(graph, read.architecture)
        (root / precision).mkdir()
        draft = artifact.Manifest(
            name="tiny",
            architecture=read.architecture,
            precision=precision,
            labels=read.labels,
            positive_label="machine",
            max_tokens=512,
            files={},
        )
        folder.write(root / precision, {artifact.MODEL: graph}, read, draft)
    return Converted(read.model, root / "fp32", root / "int8", products)


def runner(path: Path) -> OnnxRunner:
    return OnnxRunner(artifact.load(path), threads=1)


def batch(rows: int, length: int) -> list[np.ndarray]:
    """Random tokens; every window after the first is shorter, each more than the one before."""
    ids = np.random.default_rng(length).integers(5, VOCABULARY, (rows, length))
    return [window[: max(1, length // (row + 1))] if row else window for row, window in enumerate(ids)]


def reference(model: Any, window: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        logits: np.ndarray = model(torch.from_numpy(window)[None]).logits[0].numpy()
    return logits


def machine(logits: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.from_numpy(logits), dim=-1)[..., 1].numpy()


@pytest.mark.parametrize("rows", [1, 3])
def test_fp32_answers_as_pytorch_does_at_every_length(converted: Converted, rows: int) -> None:
    session = runner(converted.fp32)
    for length in LENGTHS if rows == 1 else PADDED_LENGTHS:
        given = batch(rows, length)
        for window, found in zip(given, session.run(given), strict=True):
            expected = reference(converted.model, window)
            assert found.shape == expected.shape
            assert found.dtype == np.float32
            assert_allclose(found, expected, rtol=0, atol=FP32_LOGITS, err_msg=f"length {length}")
            assert_allclose(machine(found), machine(expected), rtol=0, atol=FP32_PROBABILITY)


def test_int8_stays_near(converted: Converted) -> None:
    session = runner(converted.int8)
    for length in INT8_LENGTHS:
        (window,) = batch(1, length)
        difference = np.abs(machine(session.run([window])[0]) - machine(reference(converted.model, window)))
        assert 0 < difference.mean() < INT8_MEAN_PROBABILITY, f"length {length}"


def test_int8_products_are_u8_by_s8_and_only_attention_and_head_stay_fp32(converted: Converted) -> None:
    graph = ir.load(converted.int8 / artifact.MODEL).graph
    kinds = Counter(node.op_type for node in graph)
    assert kinds["MatMulInteger"] >= 8  # a layer has four where query, key and value are one, else six
    for node in graph:
        if node.op_type not in ("MatMul", "MatMulInteger"):
            continue
        weight = node.inputs[1]
        assert weight is not None
        if node.op_type == "MatMulInteger":
            assert weight.dtype == ir.DataType.INT8
        elif weight.is_initializer():
            assert weight.shape is not None
            assert weight.shape[-1] == len(LABELS)


def test_every_product_is_known_to_pytorch_by_the_name_of_its_weight(converted: Converted) -> None:
    weights = dict(converted.model.named_parameters())
    known = {name: weights[name].numel() for name in converted.products}
    assert known == converted.products
    done: list[None] = []
    errors = sensitivity.measure(
        converted.model, [[*range(5, 45)]], machine, dict.fromkeys(known), lambda: done.append(None)
    )
    assert len(done) == len(known)
    assert all(error > 0 for error in errors.values())


def test_int8_is_at_most_half_the_size(converted: Converted) -> None:
    sizes = [(path / artifact.MODEL).stat().st_size for path in (converted.int8, converted.fp32)]
    assert sizes[0] < 0.5 * sizes[1]


def test_the_graph_is_of_standard_operators_and_tells_nothing_of_this_machine(converted: Converted) -> None:
    model = ir.load(converted.fp32 / artifact.MODEL)
    assert {node.domain for node in model.graph} == {""}
    assert dict(model.opset_imports) == {"": export.OPSET}
    assert model.ir_version == export.IR_VERSION
    assert str(Path.cwd()).encode() not in (converted.fp32 / artifact.MODEL).read_bytes()
    assert [str(dim) for dim in model.graph.outputs[0].shape or ()] == ["batch", "length", str(len(LABELS))]

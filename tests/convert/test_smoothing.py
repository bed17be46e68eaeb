"""Outlier channels moved into the weights: the same logits in FP32, fewer errors in INT8, in both graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from numpy.testing import assert_allclose

from bento.native import LIBRARY
from convert import checkpoint, export, quantize, smoothing
from convert.checkpoint import Checkpoint
from tests.convert.conftest import CHECKPOINTS, VOCABULARY, MakeCheckpoint

TIMES = 20.0
FP32_LOGITS = 2e-4


def plant(read: Checkpoint) -> None:
    """One channel of every norm and of every value projection stands far above the others, and counts for as little."""
    for name, module in read.model.named_modules():
        if "norm" in name.rpartition(".")[2].lower():
            for part in module.parameters():
                part.data[3] *= TIMES
        if isinstance(module, torch.nn.Linear):
            module.weight.data[:, 3] /= TIMES
            if name.rpartition(".")[2] in {"value", "value_proj", "v", "v_lin"}:
                module.weight.data[3] *= TIMES
                module.bias.data[3] *= TIMES


def texts() -> list[list[int]]:
    draw = np.random.default_rng(3)
    return [draw.integers(5, VOCABULARY, length).tolist() for length in (40, 25, 60)]


def logits(model: ir.Model, path: Path, ids: list[int], fused: bool = False) -> Any:
    ir.save(model, path)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if fused:
        options.register_custom_ops_library(str(LIBRARY))
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    if fused:
        return session.run(None, {"input_ids": np.array(ids), "boundaries": np.array([0, len(ids)])})[0]
    row = np.array([ids])
    return session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]


def expected(read: Checkpoint, ids: list[int]) -> Any:
    row = torch.tensor([ids])
    with torch.inference_mode():
        return read.model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0].numpy()


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_factors_change_no_logit_of_the_portable_graph(
    kind: str, make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    read = checkpoint.read(str(make_checkpoint(kind)))
    plant(read)
    products = quantize.products(export.export(read, "int8"))
    smooth = smoothing.factors(read.model, texts(), products)
    assert len(smooth) > len(products) / 4
    ids = texts()[0]
    graph = export.export(read, "int8", smooth)
    lazy = {name for name, value in graph.graph.initializers.items() if isinstance(value.const_value, ir.LazyTensor)}
    assert lazy == set(smooth)  # none of them is in memory twice
    found = logits(graph, tmp_path / "smooth.onnx", ids)
    assert_allclose(found, expected(read, ids), atol=FP32_LOGITS)


@pytest.mark.skipif(not LIBRARY.exists(), reason="the fused operators are built with a C++ compiler")
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_int8_is_nearer_to_pytorch_in_both_graphs(kind: str, make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    read = checkpoint.read(str(make_checkpoint(kind)))
    plant(read)
    ids = texts()[2]
    smooth = smoothing.factors(read.model, texts()[:2], quantize.products(export.export(read, "int8")))

    def errors(factors: dict[str, Any]) -> tuple[float, float]:
        portable, own = export.export(read, "int8", factors), export.fused(read, "int8", (), factors)
        quantize.quantize(portable)
        assert own is not None
        exact = expected(read, ids)  # the median, because a token whose attention is nearly tied may jump
        return (
            float(np.median(np.abs(logits(portable, tmp_path / "portable.onnx", ids) - exact))),
            float(np.median(np.abs(logits(own, tmp_path / "fused.onnx", ids, fused=True) - exact))),
        )

    before, after = errors({}), errors(smooth)
    assert after[0] < before[0]
    assert after[1] < before[1]


def test_products_of_the_same_input_share_their_factors(make_checkpoint: MakeCheckpoint) -> None:
    read = checkpoint.read(str(make_checkpoint("bert")))
    plant(read)
    smooth = smoothing.factors(read.model, texts(), quantize.products(export.export(read, "int8")))
    prefix = "bert.encoder.layer.1.attention.self"
    query, key, value = (smooth[f"{prefix}.{part}.weight"] for part in ("query", "key", "value"))
    assert query is key
    assert key is value
    assert query[3] < np.median(query) / 3  # the channel that stands out


def test_what_gains_nothing_is_left_alone(make_checkpoint: MakeCheckpoint) -> None:
    model = checkpoint.read(str(make_checkpoint("bert"))).model
    with torch.inference_mode():
        for weight in model.parameters():
            weight.fill_(0)
    assert smoothing.factors(model, texts(), ["bert.encoder.layer.0.intermediate.dense.weight"]) == {}

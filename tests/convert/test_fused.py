"""The fused graph answers as PyTorch does, keeps texts apart to the bit, and is left alone where it cannot run."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
import transformers
from numpy.testing import assert_allclose

from bento import artifact
from bento.artifact import FUSED, MODEL
from bento.checkpoint import reading as checkpoint
from bento.cpu import Plan
from bento.engines import graphs, onnx
from bento.engines.fused import INPUTS, FusedRunner
from bento.errors import ArtifactError
from bento.native import LIBRARY
from convert import export, folder, quantize
from tests.convert.conftest import CHECKPOINTS, LABELS, VOCABULARY, MakeCheckpoint, build

LENGTHS = (1, 2, 15, 16, 17, 63, 130, 300, 700)
PLAN = Plan(lanes=2, threads_per_lane=1)
FP32_LOGITS, INT8_MEAN_PROBABILITY, INT8_PROBABILITY = 1e-4, 0.012, 0.05

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="the fused operators are built with a C++ compiler")


@dataclass
class Converted:
    model: Any
    folders: dict[str, artifact.ModelFolder]


@pytest.fixture(scope="module", params=list(CHECKPOINTS))
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Converted:
    root = tmp_path_factory.mktemp(request.param)
    source = root / "checkpoint"
    head = transformers.AutoModelForTokenClassification
    build(source, request.param, head, LABELS, torch.float32)
    tokenizer.save(str(source / "tokenizer.json"))
    read = checkpoint.read(str(source))
    precisions: tuple[artifact.Precision, ...] = ("fp32", "int8")
    return Converted(read.model, {p: write(root / p, read, p) for p in precisions})


def write(path: Path, read: checkpoint.Checkpoint, precision: artifact.Precision) -> artifact.ModelFolder:
    portable, own = export.export(read, precision), export.fused(read, precision)
    assert own is not None
    if precision == "int8":
        quantize.quantize(portable)
    models = {MODEL: portable, FUSED: own}
    for model in models.values():
        export.check(model, read.architecture)
    path.mkdir()
    draft = artifact.Manifest(
        name="tiny",
        architecture=read.architecture,
        precision=precision,
        labels=read.labels,
        positive_label="machine",
        max_tokens=512,
        files={},
    )
    folder.write(path, models, read, draft)
    return artifact.load(path)


def windows() -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.integers(5, VOCABULARY, length) for length in LENGTHS]


def runner(whole: artifact.ModelFolder) -> FusedRunner:
    assert whole.fused is not None
    return FusedRunner(whole.fused, PLAN)


def machine(logits: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.from_numpy(logits), dim=-1)[..., 1].numpy()


def test_every_window_of_a_pack_is_answered_as_pytorch_does(converted: Converted) -> None:
    for precision, whole in converted.folders.items():
        given, distances = windows(), []
        for ids, found in zip(given, runner(whole).run(given), strict=True):
            with torch.inference_mode():
                expected = converted.model(torch.from_numpy(ids)[None]).logits[0].numpy()
            assert found.shape == expected.shape
            if precision == "fp32":
                assert_allclose(found, expected, rtol=0, atol=FP32_LOGITS, err_msg=f"length {len(ids)}")
            distances.append(np.abs(machine(found) - machine(expected)))
        if precision == "int8":
            every = np.concatenate(distances)
            assert every.mean() < INT8_MEAN_PROBABILITY
            assert every.max() < INT8_PROBABILITY


def test_int8_is_the_same_to_the_bit_in_any_company_and_on_any_number_of_threads(converted: Converted) -> None:
    loaded, given = runner(converted.folders["int8"]), windows()
    together = loaded.run(given)
    wide = loaded.run(given, wide=True)
    for ids, packed, on_all in zip(given, together, wide, strict=True):
        (alone,) = loaded.run([ids])
        assert np.array_equal(alone, packed)
        assert np.array_equal(alone, on_all)


def test_fp32_differs_by_rounding_alone_in_company(converted: Converted) -> None:
    loaded, given = runner(converted.folders["fp32"]), windows()
    for ids, packed in zip(given, loaded.run(given), strict=True):
        assert_allclose(machine(loaded.run([ids])[0]), machine(packed), rtol=0, atol=1e-5)


def test_both_graphs_read_the_same_weights(converted: Converted) -> None:
    for whole in converted.folders.values():
        sizes = {name: record.bytes for name, record in whole.manifest.files.items()}
        assert whole.fused is not None
        values = [ir.load(path).graph.initializers.values() for path in (whole.model, whole.fused)]
        outside = {
            (value.const_value.location, value.const_value.offset, value.const_value.length or 0)
            for graph in values
            for value in graph
            if isinstance(value.const_value, ir.ExternalTensor)
        }
        assert {location for location, _, _ in outside} == {artifact.EXTERNAL_DATA}
        assert sizes[artifact.EXTERNAL_DATA] < sum(length for _, _, length in outside) + export.PAGE_BYTES * len(
            outside
        )


@pytest.mark.parametrize("kind", ["deberta-v3", "bert", "modernbert"])
def test_what_the_operators_do_not_cover_has_the_portable_graph_only(
    make_checkpoint: MakeCheckpoint, kind: str
) -> None:
    read = checkpoint.read(str(make_checkpoint(kind)))
    assert export.fused(read, "int8") is not None
    read.model.config.num_attention_heads = 16  # heads of four numbers, which is no whole vector
    assert export.fused(read, "int8") is None


@pytest.mark.parametrize(
    ("kind", "name", "products"),
    [
        ("deberta-v3", "deberta.encoder.layer.0.output.dense.weight", 1),
        ("bert", "bert.encoder.layer.1.attention.self.key.weight", 1),
        ("modernbert", "model.layers.0.attn.Wqkv.weight", 3),
        ("deberta-v1", "deberta.encoder.layer.0.attention.self.in_proj.weight", 3),
    ],
)
def test_weights_that_must_stay_exact_do(make_checkpoint: MakeCheckpoint, kind: str, name: str, products: int) -> None:
    read = checkpoint.read(str(make_checkpoint(kind)))
    counts = []
    for exact in ((), (name,)):
        model = export.fused(read, "int8", exact)
        assert model is not None
        counts.append(sum(node.op_type == "QuantizedLinear" for node in model.graph))
    assert counts[0] - counts[1] == products


@pytest.fixture
def whole(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> artifact.ModelFolder:
    return write(tmp_path / "folder", checkpoint.read(str(make_checkpoint())), "int8")


def test_without_the_library_the_portable_graph_serves_and_says_so(whole: artifact.ModelFolder, tmp_path: Path) -> None:
    chosen, reason = graphs.faster(whole, PLAN, library=tmp_path / "libwordtell.so")
    assert isinstance(chosen, onnx.OnnxRunner)
    assert "the portable graph serves" in reason
    assert "make native" in reason


def test_a_library_that_cannot_be_loaded_costs_speed_not_service(whole: artifact.ModelFolder, tmp_path: Path) -> None:
    broken = tmp_path / "libwordtell.so"
    broken.write_text("no library")
    chosen, reason = graphs.faster(whole, PLAN, library=broken)
    assert isinstance(chosen, onnx.OnnxRunner)
    assert "cannot be used" in reason


def test_the_setting_asks_for_standard_operators(whole: artifact.ModelFolder) -> None:
    chosen, reason = graphs.faster(whole, PLAN, fused=False)
    assert isinstance(chosen, onnx.OnnxRunner)
    assert "cpu.fused is false" in reason


@pytest.mark.parametrize(("slow", "taken"), [(True, onnx.OnnxRunner), (False, FusedRunner)])
def test_where_no_instruction_set_is_known_to_be_fast_the_faster_graph_serves(
    whole: artifact.ModelFolder, monkeypatch: pytest.MonkeyPatch, slow: bool, taken: type
) -> None:
    """The instruction set is not asked: its kernels may be better tomorrow. A graph is made slow by useless work."""
    monkeypatch.setattr(graphs, "KNOWN_FAST", frozenset())
    loser = FusedRunner if slow else onnx.OnnxRunner
    run = loser.run

    def slower(*arguments: Any) -> Any:
        end = time.thread_time() + 0.03
        while time.thread_time() < end:
            pass
        return run(*arguments)

    monkeypatch.setattr(loser, "run", slower)
    chosen, reason = graphs.faster(whole, PLAN)
    assert isinstance(chosen, taken)
    assert re.search(r"the fused graph is the (slower|faster) one here with \w+, [\d.]+ ms against [\d.]+ ms", reason)
    assert chosen.abilities.variant.split(".")[0] == ("portable" if slow else "fused")


@pytest.mark.parametrize(
    ("boundaries", "tokens"),
    [([0, 3, 2, 5], 5), ([0, 6], 5), ([1, 5], 5), ([0, 2, 2, 5], 5), ([0], 5)],
    ids=["falling", "beyond", "not from the start", "an empty window", "none"],
)
def test_boundaries_that_are_none_are_an_error_not_a_crash(
    whole: artifact.ModelFolder, boundaries: list[int], tokens: int
) -> None:
    assert whole.fused is not None
    session = onnx.session(whole.fused, INPUTS, 1, LIBRARY)
    with pytest.raises(Exception, match="boundaries must rise from 0 to the number of tokens"):
        session.run(None, {"input_ids": np.full(tokens, 7), "boundaries": np.array(boundaries)})


def test_a_fused_graph_that_is_damaged_is_named(whole: artifact.ModelFolder, tmp_path: Path) -> None:
    assert whole.fused is not None
    shutil.copy(whole.model, tmp_path / FUSED)  # its weights are not there
    with pytest.raises(ArtifactError, match=f"{FUSED}: ONNX Runtime cannot load it"):
        FusedRunner(tmp_path / FUSED, PLAN)


def test_onnxruntime_is_new_enough_for_the_library() -> None:
    assert tuple(int(part) for part in ort.__version__.split(".")[:2]) >= (1, 17)

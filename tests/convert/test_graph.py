"""What the graphs are made of: the reasons why they are small and quick."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from transformers.models.deberta_v2.configuration_deberta_v2 import DebertaV2Config
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from bento import artifact
from bento.checkpoint import reading as checkpoint
from bento.checkpoint.families import deberta, mpnet
from bento.engines.onnx import OnnxRunner
from convert import export, folder, quantize
from convert.errors import ExportError
from tests.convert.conftest import DEBERTA_V3, MakeCheckpoint

PRECISIONS: tuple[artifact.Precision, ...] = ("fp32", "int8")


@pytest.mark.parametrize(("buckets", "longest"), [(256, 512), (32, 128), (-1, 64)])
def test_the_table_holds_the_bucket_of_every_distance(buckets: int, longest: int) -> None:
    config = DebertaV2Config(**DEBERTA_V3 | {"position_buckets": buckets, "max_position_embeddings": longest})
    table = deberta.distance_buckets(config)
    reach = len(table) // 2
    length = 3 * longest
    span = buckets if buckets > 0 else longest
    states = torch.zeros(1, length, 1)
    theirs = build_relative_position(states, states, buckets, longest)[0].clamp(-span, span - 1) + span
    place = np.arange(length)
    ours = table[np.clip(place[:, None] - place[None, :], -reach, reach) + reach]
    np.testing.assert_array_equal(ours, theirs.numpy())


def test_the_index_of_distances_is_made_once_for_all_layers_and_heads(make_checkpoint: MakeCheckpoint) -> None:
    graph = export.export(checkpoint.read(str(make_checkpoint())), "fp32").graph
    scans = [node for node in graph if node.op_type == "Scan"]
    inside = [node for scan in scans for node in scan.attributes["body"].as_graph()]
    gathers = [node for node in inside if node.op_type == "GatherElements"]
    indices = {node.inputs[1] for node in gathers}
    kinds = Counter(node.op_type for node in graph.all_nodes())
    assert len(scans) == DEBERTA_V3["num_hidden_layers"]
    assert len(gathers) == kinds["GatherElements"] == 2 * len(scans)
    assert len(indices) == 1
    assert kinds["Expand"] == 1
    assert not kinds.keys() & {"If", "Loop", "Tile"}


def test_fp32_holds_every_weight_once(make_checkpoint: MakeCheckpoint) -> None:
    read = checkpoint.read(str(make_checkpoint()))
    sizes = {}
    for precision in PRECISIONS:
        constants = export.export(read, precision).graph.initializers.values()
        sizes[precision] = sum(value.const_value.size for value in constants if value.const_value is not None)
    # Beside the weights: the table of distances and a few numbers. INT8 wants the projected positions too.
    assert sizes["fp32"] < read.model.num_parameters() + 500 < sizes["int8"]


@pytest.mark.parametrize("kind", ["deberta-v3", "bert"])
def test_the_same_checkpoint_gives_the_same_bytes(make_checkpoint: MakeCheckpoint, tmp_path: Path, kind: str) -> None:
    read = checkpoint.read(str(make_checkpoint(kind)))
    written = []
    for _ in range(2):
        model = export.export(read, "int8")
        quantize.quantize(model)
        export.check(model, read.architecture)
        export.save({artifact.MODEL: model}, tmp_path, export.SINGLE_FILE_BYTES)
        written.append((tmp_path / artifact.MODEL).read_bytes())
    assert written[0] == written[1]


def test_every_layer_of_mpnet_adds_one_bias_that_is_gathered_once(make_checkpoint: MakeCheckpoint) -> None:
    graph = export.export(checkpoint.read(str(make_checkpoint("mpnet"))), "fp32").graph
    gathered = [node.inputs[0] for node in graph if node.op_type == "Gather"]
    tables = [table for table in gathered if table is not None and "of_distances" in (table.name or "")]
    assert len(tables) == 1
    assert len(mpnet.buckets()) == 2 * mpnet.FARTHEST + 1
    # Beyond the farthest distance no bucket is new.
    assert mpnet.buckets()[0] == mpnet.buckets()[20]
    assert mpnet.buckets()[-1] == mpnet.buckets()[-20]


def test_a_graph_that_is_not_sound_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    model = export.export(checkpoint.read(str(make_checkpoint())), "fp32")
    product = next(node for node in model.graph if node.op_type == "MatMul")
    product.op_type = "NoSuchOperator"
    with pytest.raises(ExportError, match=r"deberta-v2 encoder could not be exported .*NoSuchOperator"):
        export.check(model, "deberta-v2")


def test_weights_too_big_for_one_file_are_served_from_two(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    read = checkpoint.read(str(make_checkpoint()))
    model = export.export(read, "fp32")
    folders = []
    for name, limit in (("one", export.SINGLE_FILE_BYTES), ("two", 1000)):
        (tmp_path / name).mkdir()
        draft = artifact.Manifest(
            name=name,
            architecture=read.architecture,
            precision="fp32",
            labels=read.labels,
            positive_label="machine",
            max_tokens=512,
            files={},
        )
        manifest = folder.write(tmp_path / name, {artifact.MODEL: model}, replace(read, source=name), draft, limit)
        folders.append(artifact.load(tmp_path / name))
    assert manifest.files.keys() == {artifact.MODEL, artifact.TOKENIZER, artifact.EXTERNAL_DATA}
    assert manifest.files[artifact.MODEL].bytes < manifest.files[artifact.EXTERNAL_DATA].bytes
    one, two = (OnnxRunner(whole, threads=1).run([np.arange(20)])[0] for whole in folders)
    np.testing.assert_array_equal(one, two)


def product_of(weight: np.ndarray) -> ir.Model:
    """x [n, k] times a constant."""
    shape = ir.Shape(["n", weight.shape[0]])
    value = ir.val("x", ir.DataType.FLOAT, shape)
    tape = ir.tape.Tape()
    constant = tape.initializer(ir.tensor(weight, name="weight"))
    result = tape.op("MatMul", [value, constant])
    result.name, result.dtype, result.shape = "y", ir.DataType.FLOAT, ir.Shape(["n", weight.shape[1]])
    graph = ir.Graph(
        [value], [result], nodes=tape.nodes, initializers=tape.initializers, opset_imports={"": export.OPSET}
    )
    return ir.Model(graph, ir_version=export.IR_VERSION)


def run(model: ir.Model, value: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": value})[0]
    return result


def test_a_column_of_big_weights_does_not_blur_the_others() -> None:
    generator = np.random.default_rng(1)
    weight = generator.normal(size=(64, 64)).astype(np.float32)
    weight[:, 0] *= 1000  # with one scale for all columns the others would be rounded to nothing
    value = generator.normal(size=(8, 64)).astype(np.float32)
    expected = value @ weight
    model = product_of(weight)
    quantize.quantize(model)
    assert "MatMulInteger" in [node.op_type for node in model.graph]
    error = np.abs(run(model, value) - expected).max(axis=0)
    assert (error < 0.03 * np.abs(expected).max(axis=0)).all()
    assert error.max() > 0


def test_a_head_stays_exact() -> None:
    weight = np.random.default_rng(1).normal(size=(2048, 2)).astype(np.float32)
    model = product_of(weight)
    quantize.quantize(model)
    assert [node.op_type for node in model.graph] == ["MatMul"]

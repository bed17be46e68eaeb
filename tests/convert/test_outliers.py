"""A planted outlier: the plain INT8 recipe fails on it, ours holds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic

from bento import artifact
from bento.text.words import positive_probability
from convert import checkpoint, quantize, sensitivity, smoothing, texts, verify
from convert.conversion import convert
from convert.errors import VerificationError
from convert.export import export
from convert.order import Order
from tests.convert.conftest import LABELS, MakeCheckpoint
from tests.convert.test_verify import quiet, rewrite

LAYERS = 4
POSITIVE = partial(positive_probability, positives=[1])
OUTLIER = "deberta.encoder.layer.1.output.dense.weight"


def plant(folder: Path) -> None:
    """One unit of a feed-forward layer stands far above the others, and counts for little.

    Real checkpoints have such units. 0 ... 3000 in 255 steps leaves its neighbours, around 1, a single level.
    """
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    weights = model.state_dict()
    weights[OUTLIER.replace("output.dense.weight", "intermediate.dense.bias")][0] = 3000
    weights[OUTLIER][:, 0] *= 1e-3
    model.save_pretrained(folder)


def test_the_plain_recipe_fails_where_ours_holds(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    source = make_checkpoint(num_hidden_layers=LAYERS)
    plant(source)
    order = Order(source=str(source), out=tmp_path / "ours", precision="int8", max_fp32_share=0)
    ours = convert(order, quiet).variants["int8"]
    assert ours.exact == {}  # the outlier went into the weights
    assert ours.fault is None

    fp32 = replace(order, precision="fp32", out=tmp_path / "fp32")
    convert(fp32, quiet)
    plain = tmp_path / "plain"
    shutil.copytree(fp32.out, plain)
    quantize_dynamic(
        fp32.out / artifact.MODEL, plain / artifact.MODEL, per_channel=True, weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip
    rewrite(plain)
    asked = texts.Asked(texts.ladder(), 1)
    expected = verify.reference(plain, checkpoint.read(str(source)).model, asked.texts, lambda: None)
    found = verify.compare(expected, verify.measure(plain, asked), order.threshold, 0)
    assert found.mean_dp > 2 * order.max_mean_dp


def test_what_cannot_be_smoothed_stays_in_fp32(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoothing, "factors", lambda *_: {})
    source = make_checkpoint(num_hidden_layers=LAYERS)
    plant(source)
    order = Order(source=str(source), out=tmp_path / "ours", precision="int8")
    ours = convert(order, quiet).variants["int8"]
    worst, *others = ours.exact.items()
    assert worst[0] == OUTLIER
    assert all(worst[1] > 5 * error for _, error in others)
    assert 0 < ours.figures.fp32_share <= order.max_fp32_share
    assert ours.fault is None

    with pytest.raises(VerificationError, match="int8: mean_dp_bound"):
        convert(replace(order, out=tmp_path / "none", max_fp32_share=0), quiet)


def test_replayed_layers_change_nothing(make_checkpoint: MakeCheckpoint) -> None:
    """Errors are the same when no layer is spared."""
    model = checkpoint.read(str(make_checkpoint())).model
    names = {name: None for name, _ in model.named_parameters() if name.endswith("output.dense.weight")}
    ids = [list(range(5, 60)), list(range(30, 50))]
    spared = sensitivity.measure(model, ids, POSITIVE, names, lambda: None)
    model.config.num_hidden_layers = -1  # so that the list of layers is not found
    assert sensitivity.measure(model, ids, POSITIVE, names, lambda: None) == pytest.approx(spared, rel=1e-4)


def test_the_worst_stay_exact_while_there_is_room() -> None:
    errors = {"a": 0.3, "b": 0.2, "c": 0.01, "d": 0.01}
    sizes = {"a": 10, "b": 50, "c": 20, "d": 20}
    assert sensitivity.exact(errors, sizes, mean_dp=0.1, max_share=1) == ("a", "b")
    assert sensitivity.exact(errors, sizes, mean_dp=1, max_share=1) == ()
    assert sensitivity.exact(errors, sizes, mean_dp=0.1, max_share=0.3) == ("a", "c")  # b has no room
    assert sensitivity.exact(errors, sizes, mean_dp=0, max_share=0) == ()


def test_positive_labels_other_than_the_second_are_ranked_too(make_checkpoint: MakeCheckpoint) -> None:
    read = checkpoint.read(str(make_checkpoint(labels={0: LABELS[1]})))
    alone = partial(positive_probability, positives=[0], activation="sigmoid")
    sizes = quantize.products(export(read, "int8"))
    errors = sensitivity.measure(
        read.model, [read.encode(text)[:96] for text in texts.calibration(3)], alone, dict.fromkeys(sizes), lambda: None
    )
    assert torch.tensor(list(errors.values())).gt(0).all()

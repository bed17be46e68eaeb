"""Heads: one linear layer, or two with an activation between them; what else a checkpoint has is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from numpy.testing import assert_allclose

from bento import artifact
from bento.checkpoint import reading as checkpoint
from bento.checkpoint.names import HeadActivation
from bento.cpu import Plan
from bento.engines.fused import FusedRunner
from bento.engines.onnx import OnnxRunner
from bento.native import LIBRARY
from convert.conversion import convert
from convert.errors import CheckpointError
from convert.order import Order
from tests.convert.conftest import MakeCheckpoint
from tests.convert.test_checkpoint import edit, refusal, reweigh
from tests.convert.test_lora import adapter
from tests.convert.test_verify import quiet

HIDDEN, LABELS = 64, 2
FUNCTIONS: dict[HeadActivation, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "none": lambda value: value,
}
SEQUENTIAL = ("classifier.0", "classifier.3")
PROJECTED = ("classifier.dense", "classifier.out_proj")


def two_layers(folder: Path, names: tuple[str, str], inner: int = HIDDEN) -> dict[str, torch.Tensor]:
    """Put a head of two layers in place of the one; returns its weights."""
    torch.manual_seed(11)
    weights = {
        f"{names[0]}.weight": torch.randn(inner, HIDDEN) / 4,
        f"{names[0]}.bias": torch.randn(inner),
        f"{names[1]}.weight": torch.randn(LABELS, inner) / 4,
        f"{names[1]}.bias": torch.randn(LABELS),
    }

    def change(found: dict[str, torch.Tensor]) -> None:
        del found["classifier.weight"], found["classifier.bias"]
        found.update(weights)

    reweigh(folder, change)
    return weights


def add(folder: Path, **weights: torch.Tensor) -> None:
    reweigh(folder, lambda found: found.update(weights))


def of_head(
    model: Any, ids: torch.Tensor, weights: dict[str, torch.Tensor], activation: HeadActivation
) -> torch.Tensor:
    """The logits, written out: the encoder of transformers, and two products."""
    first, first_bias, second, second_bias = weights.values()
    encoder = getattr(model, model.base_model_prefix)
    inner = encoder(input_ids=ids).last_hidden_state @ first.T + first_bias
    return FUNCTIONS[activation](inner) @ second.T + second_bias


@pytest.mark.parametrize(
    ("kind", "names", "asked", "meant", "inner"),
    [
        ("electra", PROJECTED, None, "gelu", HIDDEN),
        ("roberta", PROJECTED, None, "tanh", HIDDEN),
        ("xlm-roberta", PROJECTED, None, "tanh", HIDDEN),
        ("roberta", PROJECTED, "relu", "relu", HIDDEN),
        ("distilbert", ("pre_classifier", "classifier"), None, "relu", HIDDEN),
        ("bert", PROJECTED, "tanh", "tanh", HIDDEN),
        ("bert", ("dense", "classifier"), "gelu", "gelu", 24),
        ("deberta-v3", SEQUENTIAL, "none", "none", HIDDEN),
        ("deberta-v3", SEQUENTIAL, "relu", "relu", 24),
        ("deberta-v3", ("classifier.1", "classifier.4"), "gelu", "gelu", HIDDEN),
        ("deberta-v3", ("head.0", "head.2"), "tanh", "tanh", HIDDEN),
    ],
)
def test_a_head_of_two_layers_is_computed(
    make_checkpoint: MakeCheckpoint,
    kind: str,
    names: tuple[str, str],
    asked: HeadActivation | None,
    meant: HeadActivation,
    inner: int,
) -> None:
    folder = make_checkpoint(kind)
    weights = two_layers(folder, names, inner)
    model = checkpoint.read(str(folder), head_activation=asked).model
    ids = torch.arange(5, 45).view(2, 20)
    torch.testing.assert_close(model(input_ids=ids).logits, of_head(model, ids, weights, meant))


@pytest.mark.parametrize(("kind", "activation"), [("deberta-v3", "gelu"), ("deberta-v3", "tanh"), ("electra", "relu")])
def test_a_head_of_two_layers_is_converted(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, kind: str, activation: HeadActivation
) -> None:
    folder = make_checkpoint(kind)
    weights = two_layers(folder, SEQUENTIAL)
    order = Order(
        source=str(folder),
        out=tmp_path / "out",
        precision="auto",
        head_activation=activation,
        max_mean_dp=0.1,
        max_flips=1,
    )
    variants = convert(order, quiet).variants
    assert variants["fp32"].figures.max_dp < 1e-5
    assert 0 < variants["int8"].figures.mean_dp < 0.02
    convert(Order(**vars(order) | {"precision": "fp32"}), quiet)
    ids = torch.arange(5, 45)
    model = checkpoint.read(str(folder), head_activation=activation).model
    expected = of_head(model, ids[None], weights, activation)[0]
    made = artifact.load(order.out)
    found = [OnnxRunner(made, threads=1).run([ids.numpy()])[0]]
    if kind == "deberta-v3" and LIBRARY.exists():
        assert made.fused is not None
        found.append(FusedRunner(made.fused, Plan(1, 1)).run([ids.numpy()])[0])
    for logits in found:
        assert_allclose(logits, expected.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("prefix", ["model.deberta.", "model."])
def test_a_head_of_two_layers_beside_a_wrapped_encoder_is_computed(
    make_checkpoint: MakeCheckpoint, prefix: str
) -> None:
    """As a module of one's own has it: self.model, the encoder, and self.head, a Sequential."""
    folder = make_checkpoint()
    weights = two_layers(folder, ("head.0", "head.3"))

    def wrap(found: dict[str, torch.Tensor]) -> None:
        for name in [name for name in found if name.startswith("deberta.")]:
            found[name.replace("deberta.", prefix, 1)] = found.pop(name)

    reweigh(folder, wrap)
    model = checkpoint.read(str(folder), head_activation="relu").model
    ids = torch.arange(5, 45).view(2, 20)
    torch.testing.assert_close(model(input_ids=ids).logits, of_head(model, ids, weights, "relu"))


def test_half_of_a_head_is_missing_by_name(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("bert")
    two_layers(folder, ("dense", "classifier"))
    reweigh(folder, lambda weights: weights.pop("classifier.bias"))
    assert "lacks the weights classifier.bias, and has dense.bias, dense.weight" in refusal(folder)


@pytest.mark.parametrize(
    ("kind", "names"), [("bert", PROJECTED), ("electra", SEQUENTIAL), ("roberta", ("dense", "classifier"))]
)
def test_an_activation_that_no_file_tells_is_asked_for(
    make_checkpoint: MakeCheckpoint, kind: str, names: tuple[str, str]
) -> None:
    folder = make_checkpoint(kind)
    two_layers(folder, names)
    message = refusal(folder)
    assert f"two linear layers ({names[0]}, {names[1]})" in message
    assert "give --head-activation gelu, relu, tanh or none" in message


def test_an_activation_without_a_head_for_it_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    with pytest.raises(CheckpointError, match=r"not two linear layers.*leave --head-activation out"):
        checkpoint.read(str(make_checkpoint()), head_activation="relu")


LEFT_OVER: list[tuple[dict[str, torch.Tensor], str]] = [
    (
        {f"crf.{part}": torch.zeros(2) for part in ("start_transitions", "end_transitions", "transitions")},
        "crf.end_tra",
    ),
    ({"lstm.weight_ih_l0": torch.zeros(4, 64), "lstm.weight_hh_l0": torch.zeros(4, 1)}, "lstm.weight_hh_l0, lstm.we"),
    ({"dense.weight": torch.zeros(64, 64)}, "dense.weight"),
    ({"token_head.2.bias": torch.zeros(3)}, "token_head.2.bias"),
    # Of another task, beside the head of this one.
    (
        {f"other.{n}.{part}": torch.zeros(2) for n in (0, 2) for part in ("weight", "bias")},
        "other.0.bias, other.0.weig",
    ),
    ({"layer_weights": torch.zeros(12)}, "layer_weights"),
    (
        {"deberta.encoder.layer.0.adapter.down.weight": torch.zeros(4, 64)},
        "deberta.encoder.layer.0.adapter.down.weight",
    ),
    ({"deberta.encoder.layer.7.output.dense.bias": torch.zeros(64)}, "deberta.encoder.layer.7.output.dense.bias"),
    ({"classifier.weight_scale": torch.zeros(2)}, "classifier.weight_scale"),
    ({"deberta.extra.position_embeddings.weight": torch.zeros(9, 64)}, "deberta.extra.position_embeddings.weight"),
]


@pytest.mark.parametrize(("weights", "named"), LEFT_OVER)
def test_what_would_be_left_out_is_refused_by_name(
    make_checkpoint: MakeCheckpoint, weights: dict[str, torch.Tensor], named: str
) -> None:
    folder = make_checkpoint()
    add(folder, **weights)
    message = refusal(folder)
    assert f"has weights that are not computed here: {named}" in message
    assert "fine-tune it without them" in message


def test_many_names_are_counted(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    add(folder, **{f"lstm.{number}": torch.zeros(1) for number in range(9)})
    assert "lstm.0, lstm.1, lstm.2, lstm.3, lstm.4 and 4 more; " in refusal(folder)


def test_a_sequential_with_more_in_it_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    two_layers(folder, SEQUENTIAL)
    add(folder, **{"classifier.1.weight": torch.ones(HIDDEN)})  # a norm
    message = refusal(folder)
    assert "lacks the weights classifier.bias, classifier.weight" in message
    assert "classifier.1.weight" in message


def test_a_class_of_its_own_is_refused_with_what_it_has(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("bert")
    edit(folder, architectures=["BertCRFForTokenClassification"])
    edit(folder, architectures="BertCRFForTokenClassification")  # some scripts write no list
    message = refusal(folder)
    assert "is a BertCRFForTokenClassification, a class of its own" in message
    assert "BertForTokenClassification, " in message
    add(folder, **{"crf.transitions": torch.zeros(2, 2)})
    message = refusal(folder)
    assert "is a BertCRFForTokenClassification and has weights that are not computed here: crf.transitions" in message


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("bert", ["bert.embeddings.position_ids", "bert.pooler.dense.weight", "cls.predictions.bias"]),
        ("roberta", ["roberta.embeddings.token_type_ids", "roberta.pooler.dense.bias", "lm_head.dense.weight"]),
        ("electra", ["discriminator_predictions.dense.weight", "generator_lm_head.bias"]),
        ("distilbert", ["vocab_transform.weight", "vocab_layer_norm.weight", "vocab_projector.bias"]),
        ("deberta-v3", ["lm_predictions.lm_head.bias", "mask_predictions.dense.weight", "pooler.dense.weight"]),
        ("deberta-v3", ["deberta.embeddings.position_embeddings.weight", "loss_fct.weight", "class_weights"]),
    ],
)
def test_what_is_known_to_be_harmless_is_left_out(
    make_checkpoint: MakeCheckpoint, kind: str, weights: list[str]
) -> None:
    folder = make_checkpoint(kind)
    plain = checkpoint.read(str(folder)).model.state_dict()
    add(folder, **{name: torch.zeros(7) for name in weights})
    read = checkpoint.read(str(folder)).model.state_dict()
    assert all(torch.equal(read[name], plain[name]) for name in plain)


def test_a_head_under_another_name_is_missing_and_named(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()

    def rename(weights: dict[str, torch.Tensor]) -> None:
        for part in ("weight", "bias"):
            weights[f"fc.{part}"] = weights.pop(f"classifier.{part}")

    reweigh(folder, rename)
    message = refusal(folder)
    assert "lacks the weights classifier.bias, classifier.weight, and has fc.bias, fc.weight" in message
    assert "or rename the weights of its head" in message


def test_weights_of_another_shape_are_named_with_both(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    reweigh(folder, lambda weights: weights.update({"classifier.bias": torch.zeros(3)}))
    assert "its weight classifier.bias has the shape [3], where config.json asks for [2]" in refusal(folder)
    two_layers(folder, SEQUENTIAL)
    add(folder, **{"classifier.3.weight": torch.zeros(LABELS, 5)})
    with pytest.raises(
        CheckpointError, match=r"classifier.3.weight has the shape \[2, 5\], where .* asks for \[2, 64\]"
    ):
        checkpoint.read(str(folder), head_activation="relu")


def test_an_adapters_base_may_have_a_head_that_is_not_used(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    base = make_checkpoint("deberta-v3", head=transformers.AutoModelForSequenceClassification)
    adapter(tmp_path / "adapter", str(base))
    checkpoint.read(str(tmp_path / "adapter"))
    add(base, **{"pre_classifier.weight": torch.zeros(4, 64), "classifier.dense.weight": torch.zeros(4, 64)})
    checkpoint.read(str(tmp_path / "adapter"))
    add(base, **{"deberta.encoder.layer.0.adapter.down.weight": torch.zeros(4, 64)})
    assert "not computed here: deberta.encoder.layer.0.adapter.down.weight" in refusal(tmp_path / "adapter")

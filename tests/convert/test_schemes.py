"""Settings that decide what numbers mean: computed as they say, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from convert import checkpoint, names
from tests.convert.conftest import MakeCheckpoint
from tests.convert.test_checkpoint import edit, refusal, reweigh


@pytest.mark.parametrize(
    ("kind", "settings", "named"),
    [
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type: relative_key"),
        ("electra", {"position_embedding_type": "relative_key_query"}, "position_embedding_type: relative_key_query"),
        ("roberta", {"position_embedding_type": "relative_key"}, "position_embedding_type: relative_key"),
        ("xlm-roberta", {"position_embedding_type": "rotary"}, "position_embedding_type: rotary"),
        ("bert", {"position_embedding_type": "alibi"}, "position_embedding_type: alibi"),
        ("bert", {"alibi_starting_size": 512}, "alibi_starting_size: 512"),
        ("roberta", {"use_rope": True, "rotary_base": 1000}, "use_rope: True, rotary_base: 1000"),
        ("deberta-v3", {"position_embedding_type": "relative_key"}, "position_embedding_type: relative_key"),
        ("deberta-v3", {"pos_att_type": "p2c|c2p|p2p"}, "pos_att_type: p2c|c2p|p2p"),
        ("deberta-v3", {"pos_att_type": ["c2p", "p2p"]}, "pos_att_type: ['c2p', 'p2p']"),
        ("deberta-v3", {"norm_rel_ebd": "rms_norm"}, "norm_rel_ebd: rms_norm"),
        ("deberta-v3", {"talking_head": True}, "talking_head: True"),
    ],
)
def test_a_scheme_of_positions_that_is_not_computed_is_refused(
    make_checkpoint: MakeCheckpoint, kind: str, settings: dict[str, Any], named: str
) -> None:
    folder = make_checkpoint(kind)
    edit(folder, **settings)
    message = refusal(folder)
    assert f"its positions are of a scheme that is not computed here ({named}); " in message
    assert "serve this one with the software that trained it" in message


@pytest.mark.parametrize("kind", ["bert", "electra", "roberta"])
def test_weights_of_such_a_scheme_are_refused_even_if_the_configuration_lost_it(
    make_checkpoint: MakeCheckpoint, kind: str
) -> None:
    folder = make_checkpoint(kind)
    name = f"{kind}.encoder.layer.0.attention.self.distance_embedding.weight"
    reweigh(folder, lambda weights: weights.update({name: torch.zeros(9, 16)}))
    assert f"has weights that are not computed here: {name}" in refusal(folder)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("bert", {"position_embedding_type": "absolute"}),
        ("bert", {"position_embedding_type": None, "use_rope": False}),
        (
            "deberta-v3",
            {"position_embedding_type": "absolute", "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "none|layer_norm"},
        ),
        ("distilbert", {"sinusoidal_pos_embds": True}),
    ],
)
def test_those_that_are_computed_are_read(make_checkpoint: MakeCheckpoint, kind: str, settings: dict[str, Any]) -> None:
    folder = make_checkpoint(kind)
    before = checkpoint.read(str(folder)).model
    edit(folder, **settings)
    ids = torch.arange(5, 25)[None]
    torch.testing.assert_close(checkpoint.read(str(folder)).model(input_ids=ids).logits, before(input_ids=ids).logits)


@pytest.mark.parametrize(
    ("problem", "labels", "activation"),
    [
        (None, 2, "softmax"),
        ("single_label_classification", 3, "softmax"),
        ("multi_label_classification", 2, "sigmoid"),
        ("multi_label_classification", 1, "sigmoid"),
        (None, 1, "sigmoid"),
    ],
)
def test_the_problem_says_what_makes_probabilities(
    make_checkpoint: MakeCheckpoint, problem: str | None, labels: int, activation: str
) -> None:
    folder = make_checkpoint(labels={number: f"label {number}" for number in range(labels)})
    edit(folder, problem_type=problem)
    assert checkpoint.read(str(folder)).activation == activation


@pytest.mark.parametrize("problem", ["regression", "ranking"])
def test_outputs_that_are_no_probabilities_are_refused(make_checkpoint: MakeCheckpoint, problem: str) -> None:
    folder = make_checkpoint()
    edit(folder, problem_type=problem)
    assert problem in refusal(folder)


@pytest.mark.parametrize(
    ("weight", "plain"),
    [
        ("bert.encoder.layer.0.output.dense.bias", "bert.encoder.layer.0.output.dense.bias"),
        ("module._orig_mod.model.bert.a", "bert.a"),
        ("bert.model.a", "bert.model.a"),
        ("bert._orig_mod.encoder._checkpoint_wrapped_module.a", "bert.encoder.a"),
        ("modules.a", "modules.a"),
    ],
)
def test_wrappers_are_taken_off_where_they_stand_and_nothing_else(weight: str, plain: str) -> None:
    assert names.unwrapped(weight) == plain

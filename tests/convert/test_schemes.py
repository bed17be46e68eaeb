"""Settings that decide what numbers mean: computed as they say, or refused by name."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from bento.checkpoint import names
from bento.checkpoint import reading as checkpoint
from convert import export
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
        ("deberta-v3", {"attention_head_size": 32}, "attention_head_size: 32"),
        ("deberta-v1", {"talking_head": True}, "talking_head: True"),
        ("deberta-v1", {"position_buckets": 256, "share_att_key": True}, "share_att_key: True, position_buckets: 256"),
        ("deberta-v1", {"norm_rel_ebd": "layer_norm"}, "norm_rel_ebd: layer_norm"),
        ("deberta-v1", {"pos_att_type": "c2p|p2p"}, "pos_att_type: c2p|p2p"),
        ("mpnet", {"relative_attention_num_buckets": 64}, "relative_attention_num_buckets: 64"),
        ("mpnet", {"position_embedding_type": "relative_key"}, "position_embedding_type: relative_key"),
        ("camembert", {"position_embedding_type": "relative_key"}, "position_embedding_type: relative_key"),
        ("modernbert", {"rope_scaling": {"type": "linear", "factor": 2}}, "rope_scaling: {"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_parameters: {"),
        ("modernbert", {"local_attention": 1}, "local_attention: 1"),
    ],
)
def test_a_scheme_of_positions_that_is_not_computed_is_refused(
    make_checkpoint: MakeCheckpoint, kind: str, settings: dict[str, Any], named: str
) -> None:
    folder = make_checkpoint(kind)
    edit(folder, **settings)
    message = refusal(folder)
    assert f"its attention is of a scheme that is not computed here ({named}" in message
    assert "serve this one with the software that trained it" in message


@pytest.mark.parametrize("kind", ["bert", "roberta", "camembert", "electra"])
def test_a_decoder_is_refused(make_checkpoint: MakeCheckpoint, kind: str) -> None:
    folder = make_checkpoint(kind)
    edit(folder, is_decoder=True)
    assert "its attention is of a scheme that is not computed here (is_decoder: True); " in refusal(folder)


@pytest.mark.parametrize("start", [None, -1])
def test_positions_that_begin_nowhere_are_refused(make_checkpoint: MakeCheckpoint, start: int | None) -> None:
    folder = make_checkpoint("roberta")
    edit(folder, pad_token_id=start)
    assert f"(pad_token_id: {start}); " in refusal(folder)


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("bert", "hidden_act"),
        ("distilbert", "activation"),
        ("modernbert", "hidden_activation"),
        ("modernbert", "classifier_activation"),
        ("deberta-v2-convolution", "conv_act"),
    ],
)
def test_an_activation_that_is_not_computed_is_refused_with_those_that_are(
    make_checkpoint: MakeCheckpoint, kind: str, setting: str
) -> None:
    folder = make_checkpoint(kind)
    edit(folder, **{setting: "mish"})
    assert f"its activation is not computed here ({setting}: mish); these are: gelu, " in refusal(folder)


@pytest.mark.parametrize("activation", names.ACTIVATIONS)
def test_every_activation_is_computed(make_checkpoint: MakeCheckpoint, activation: str) -> None:
    folder = make_checkpoint("bert", num_hidden_layers=1)
    edit(folder, hidden_act=activation)
    read = checkpoint.read(str(folder))
    graph = ir.to_proto(export.export(read, "fp32")).SerializeToString()
    ids = torch.arange(5, 205)[None]
    feeds = {"input_ids": ids.numpy(), "attention_mask": torch.ones_like(ids).numpy()}
    (found,) = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, feeds)
    torch.testing.assert_close(torch.from_numpy(found), read.model(input_ids=ids).logits, rtol=0, atol=1e-4)


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
        ("deberta-v1", {"position_buckets": -1, "share_att_key": False, "norm_rel_ebd": "none", "talking_head": False}),
        ("modernbert", {"rope_parameters": None, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0}),
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
        ("model.layers.0.attn.Wo.weight", "model.layers.0.attn.Wo.weight"),
        ("module.model.model.embeddings.tok_embeddings.weight", "model.embeddings.tok_embeddings.weight"),
        ("model.head.dense.weight", "head.dense.weight"),
    ],
)
def test_wrappers_are_taken_off_where_they_stand_and_nothing_else(weight: str, plain: str) -> None:
    assert names.unwrapped(weight) == plain

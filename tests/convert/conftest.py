"""Small random checkpoints, built in code: every architecture, its own tokenizer, nothing from a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors, trainers

from convert import sensitivity, texts, verify

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
CORPUS = [
    "The committee met on Tuesday, and after a long debate it agreed to postpone the vote.",
    "Who wrote this?",
]
VOCABULARY = 300


# Before `few_texts` replaces it.
verification = texts.verification


@pytest.fixture(autouse=True)
def few_texts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 500 words to verify with, so that a conversion takes seconds."""
    monkeypatch.setattr(texts, "verification", lambda least: verification(min(least, 500)))
    monkeypatch.setattr(sensitivity, "MOST_TEXTS", 4)
    if "every_set" not in request.keywords:
        monkeypatch.setattr(verify, "lower_instruction_sets", lambda _: ())


# Big enough that rounding shows, small enough for seconds. Long positions, for lengths that a test asks for.
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 1026,
    "initializer_range": 0.15,
    "pad_token_id": 0,
}
DEBERTA_V3 = SMALL | {
    "max_position_embeddings": 128,
    "relative_attention": True,
    "position_buckets": 32,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "type_vocab_size": 0,
}
DEBERTA_V1 = SMALL | {
    "max_position_embeddings": 128,
    "relative_attention": True,
    "pos_att_type": "c2p|p2c",
    "position_biased_input": False,
    "type_vocab_size": 0,
}
# The window is so narrow that it shows in short texts, too.
MODERNBERT = SMALL | {
    "num_hidden_layers": 4,
    "intermediate_size": 96,
    "local_attention": 24,
    **dict.fromkeys(["bos_token_id", "cls_token_id"], 1),
    **dict.fromkeys(["eos_token_id", "sep_token_id"], 2),
}
DISTILBERT = {
    "vocab_size": VOCABULARY,
    "dim": 64,
    "hidden_dim": 128,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 1026,
    "initializer_range": 0.15,
}

CHECKPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta-v3": ("deberta-v2", DEBERTA_V3),
    "deberta-v3-own-position-weights": ("deberta-v2", DEBERTA_V3 | {"share_att_key": False}),
    "deberta-v3-c2p": ("deberta-v2", DEBERTA_V3 | {"pos_att_type": "c2p"}),
    "deberta-v3-p2c": ("deberta-v2", DEBERTA_V3 | {"pos_att_type": "p2c"}),
    "deberta-v3-narrow-embeddings": ("deberta-v2", DEBERTA_V3 | {"embedding_size": 32}),
    "deberta-v2-convolution": ("deberta-v2", DEBERTA_V3 | {"conv_kernel_size": 3, "conv_act": "gelu"}),
    "deberta-v2-no-buckets": ("deberta-v2", DEBERTA_V3 | {"position_buckets": -1, "norm_rel_ebd": "none"}),
    "deberta-v2-absolute-positions": (
        "deberta-v2",
        DEBERTA_V3 | {"position_biased_input": True, "type_vocab_size": 2, "max_position_embeddings": 1026},
    ),
    "deberta-v2-no-relative-positions": (
        "deberta-v2",
        DEBERTA_V3 | {"relative_attention": False, "position_biased_input": True, "max_position_embeddings": 1026},
    ),
    "deberta-v1": ("deberta", DEBERTA_V1),
    "deberta-v1-c2p": ("deberta", DEBERTA_V1 | {"pos_att_type": "c2p", "max_relative_positions": 40}),
    "deberta-v1-absolute-positions": (
        "deberta",
        DEBERTA_V1 | {"pos_att_type": "p2c", "position_biased_input": True, "max_position_embeddings": 1026},
    ),
    "bert": ("bert", SMALL),
    "roberta": ("roberta", SMALL | {"pad_token_id": 1}),
    "xlm-roberta": ("xlm-roberta", SMALL | {"pad_token_id": 1}),
    "camembert": ("camembert", SMALL | {"pad_token_id": 1, "hidden_act": "gelu_new"}),
    "electra": ("electra", SMALL | {"embedding_size": 32, "hidden_act": "relu"}),
    "distilbert": ("distilbert", DISTILBERT),
    "mpnet": ("mpnet", SMALL | {"pad_token_id": 1}),
    "modernbert": ("modernbert", MODERNBERT),
    "modernbert-biases": (
        "modernbert",
        MODERNBERT
        | dict.fromkeys(["norm_bias", "attention_bias", "mlp_bias", "classifier_bias"], True)
        | {"hidden_activation": "silu", "global_attn_every_n_layers": 2},
    ),
}
LABELS = {0: "human", 1: "machine"}

MakeCheckpoint = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Models this small lose more by waiting for a second thread than it gives."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> tokenizers.Tokenizer:
    """A Unigram tokenizer that puts [CLS] and [SEP] around a text."""
    unigram = tokenizers.Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unknown: dict[str, Any] = {"unk_token": SPECIAL[3]}
    trainer = trainers.UnigramTrainer(vocab_size=80, special_tokens=SPECIAL, show_progress=False, **unknown)
    unigram.train_from_iterator(CORPUS, trainer)
    unigram.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return unigram


@pytest.fixture
def make_checkpoint(tmp_path: Path, tokenizer: tokenizers.Tokenizer) -> MakeCheckpoint:
    """`make_checkpoint(kind, head=..., labels=..., dtype=..., **saving)`: a checkpoint folder of CHECKPOINTS[kind]."""

    def make(
        kind: str = "deberta-v3",
        head: type[Any] = transformers.AutoModelForTokenClassification,
        labels: dict[int, str] | None = None,
        dtype: torch.dtype = torch.float32,
        num_hidden_layers: int | None = None,
        **saving: Any,
    ) -> Path:
        folder = tmp_path / "checkpoint"
        build(folder, kind, head, labels or LABELS, dtype, num_hidden_layers, **saving)
        tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    return make


def build(
    folder: Path,
    kind: str,
    head: type[Any],
    labels: dict[int, str],
    dtype: torch.dtype,
    num_hidden_layers: int | None = None,
    **saving: Any,
) -> None:
    """Save a random model. The seed is fixed: a tolerance either holds or not."""
    model_type, settings = CHECKPOINTS[kind]
    if num_hidden_layers:
        settings = settings | {"num_hidden_layers": num_hidden_layers}
    config = transformers.AutoConfig.for_model(
        model_type, **settings, id2label=labels, label2id={label: index for index, label in labels.items()}
    )
    torch.manual_seed(7)
    model = head.from_config(config, dtype=dtype)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):  # they begin as zeros, which no test would miss
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(folder, **saving)

"""Names that others chose: file names, architectures and weight names of Hugging Face checkpoints."""

from __future__ import annotations

import re
from typing import Literal

CONFIG = "config.json"
CARD = "README.md"
TOKENIZER = "tokenizer.json"
SENTENCEPIECE = ("spm.model", "sentencepiece.bpe.model", "spiece.model")
SLOW_TOKENIZERS = (*SENTENCEPIECE, "vocab.txt", "vocab.json")
# All weights in one file, or the list of the files that they are in; the first that is there is read.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Weights under other names (file patterns): what they are, and how they become a checkpoint.
_OTHER_FRAMEWORK = (
    "load them with transformers 4 (AutoModelForTokenClassification.from_pretrained(folder, from_{}=True)), then "
    "save_pretrained"
)
_SAVED_BY_TORCH = (
    "which torch.save wrote",
    "load it into the model that was trained, then save_pretrained; if it is the state dict of a transformers model, "
    "rename it to pytorch_model.bin",
)
_PIECES = "pieces without the list of them"
FOREIGN_WEIGHTS = {
    "model-*-of-*.safetensors": (_PIECES, "copy model.safetensors.index.json too"),
    "pytorch_model-*-of-*.bin": (_PIECES, "copy pytorch_model.bin.index.json too"),
    "*.ckpt": (
        "a training checkpoint of Lightning or TensorFlow",
        "load it into the model that was trained, then call the transformers model's save_pretrained",
    ),
    "tf_model*.h5": ("which are TensorFlow's", _OTHER_FRAMEWORK.format("tf")),
    "flax_model*.msgpack": ("which are Flax's", _OTHER_FRAMEWORK.format("flax")),
    "*.pth": _SAVED_BY_TORCH,
    "*.pt": _SAVED_BY_TORCH,
    "*.safetensors": ("a name that is not read", "rename it to model.safetensors"),
    "*.bin": ("a name that is not read", "if it holds the weights, rename it to pytorch_model.bin"),
    "*.gguf": ("which are llama.cpp's, quantised", "give the checkpoint that they were made of"),
    "*.onnx": ("an exported graph", "give the checkpoint that it was exported from"),
}
# What a trainer leaves beside the weights.
TRAINING_STATE = re.compile(r"(optimizer|scheduler|scaler|training_args|rng_state|random_states).*")
HEAD = "ForTokenClassification"
# What a download needs; other frameworks' weights stay where they are.
WANTED = ("*.json", "*.model", "vocab.txt", "merges.txt", "*.safetensors", "*.bin", CARD)


# By `model_type`: its token classifier in transformers. What its encoder is made of is in bento/checkpoint/families.
ARCHITECTURES = {
    "deberta": "DebertaForTokenClassification",
    "deberta-v2": "DebertaV2ForTokenClassification",
    "bert": "BertForTokenClassification",
    "roberta": "RobertaForTokenClassification",
    "xlm-roberta": "XLMRobertaForTokenClassification",
    "camembert": "CamembertForTokenClassification",
    "electra": "ElectraForTokenClassification",
    "distilbert": "DistilBertForTokenClassification",
    "mpnet": "MPNetForTokenClassification",
    "modernbert": "ModernBertForTokenClassification",
}
# Activations by the names of configurations -> by those of our operators.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
# Parts of a weight's name that come from what a model was wrapped in for training: DataParallel, a Trainer of one's
# own, torch.compile, FSDP, activation checkpointing. The first two only stand at the beginning. ModernBERT's encoder is
# called "model" without any wrapper.
_MODEL = r"model(?!\.(?:embeddings\.(?:tok_embeddings|norm)|layers|final_norm)\.)"
_WRAPPERS = re.compile(
    rf"^(?:(?:module|{_MODEL}|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+"
    r"|(?<=\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)


def unwrapped(weight: str) -> str:
    """A weight's name without what wrappers added."""
    return _WRAPPERS.sub("", weight)


# Weights that a token classifier does not compute with, and that many checkpoints have: buffers of old versions, the
# pooler, the heads of pretraining (BERT's and DeBERTa's cls, RoBERTa's lm_head, DeBERTa's, ELECTRA's, DistilBERT's,
# ModernBERT's decoder), the weights of a loss function, and DeBERTa's absolute positions, which only its pretraining
# uses.
HARMLESS = re.compile(
    r"(.*\.)?(position_ids|token_type_ids)"
    r"|(\w+\.)?pooler\..*"
    r"|(cls|lm_head|lm_predictions|mask_predictions|discriminator_predictions|generator_predictions|generator_lm_head"
    r"|vocab_transform|vocab_layer_norm|vocab_projector|loss|loss_fn|loss_fct|criterion)\..*"
    r"|decoder\.(weight|bias)|class_weights?|(deberta\.)?embeddings\.position_embeddings\.weight"
)

# How the weights of absolute positions end, where an architecture has them.
POSITION_WEIGHTS = "embeddings.position_embeddings.weight"
# Values of `problem_type` that mean: one label a token.
ONE_LABEL = (None, "single_label_classification")

# The head of one layer that every stock class has.
ONE_LAYER = ("classifier.weight", "classifier.bias")
HeadActivation = Literal["gelu", "relu", "tanh", "none"]
# Heads that the base model of an adapter may have, where the adapter brings the one that is used.
OTHER_HEADS = ("classifier.", "pre_classifier.", "qa_outputs.")
# Heads of two linear layers, by their names. What is between them is in no weight: where a class of transformers has
# such a head (for texts, not for tokens), people mean what it has.
HEADS: dict[tuple[str, str], dict[str, HeadActivation]] = {
    ("classifier.dense", "classifier.out_proj"): {
        "electra": "gelu",
        "roberta": "tanh",
        "xlm-roberta": "tanh",
        "camembert": "tanh",
        "mpnet": "tanh",
    },
    ("pre_classifier", "classifier"): {"distilbert": "relu"},
    ("dense", "classifier"): {},
}


class Positions:
    """Settings of the scheme by which a model knows where a token stands."""

    scheme = "position_embedding_type"
    plain = ("absolute", None)
    # Words in the names of settings of other schemes.
    foreign = frozenset({"alibi", "rope", "rotary", "xpos"})


class Lora:
    """Files, settings and weight names of a LoRA adapter that PEFT saved."""

    config = "adapter_config.json"
    weights = ("adapter_model.safetensors", "adapter_model.bin")
    prefix = "base_model.model."
    saved = ".modules_to_save."
    a = ".lora_A.weight"
    b = ".lora_B.weight"
    mark = "lora_"
    head = "classifier.weight"
    # Settings that change what the weights mean.
    refused = (
        "use_dora", "use_qalora", "lora_bias", "fan_in_fan_out", "layer_replication", "target_parameters",
        "trainable_token_indices", "alora_invocation_tokens", "arrow_config", "use_bdlora", "megatron_config",
    )  # fmt: skip
    # Ways to begin (`init_lora_weights`) that leave the base model as it is.
    plain_starts = ("gaussian", "eva", "orthogonal")

"""Names that others chose: file names, architectures and weight names of Hugging Face checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

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
HEAD = "ForTokenClassification"
# What a download needs; other frameworks' weights stay where they are.
WANTED = ("*.json", "*.model", "vocab.txt", "merges.txt", "*.safetensors", "*.bin", CARD)


@dataclass(frozen=True)
class Architecture:
    """One `model_type`.

    class_name: its token classifier in transformers.
    offset: position ids start after the padding id (RoBERTa and kin): the rows before are not for tokens.
    relative: a model without absolute positions has no hard limit on its length.
    """

    class_name: str
    offset: bool = False
    relative: bool = False


ARCHITECTURES = {
    "deberta-v2": Architecture("DebertaV2ForTokenClassification", relative=True),
    "bert": Architecture("BertForTokenClassification"),
    "roberta": Architecture("RobertaForTokenClassification", offset=True),
    "xlm-roberta": Architecture("XLMRobertaForTokenClassification", offset=True),
    "electra": Architecture("ElectraForTokenClassification"),
    "distilbert": Architecture("DistilBertForTokenClassification"),
}


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


class Deberta:
    """Weights of `DebertaV2ForTokenClassification`, without `.weight` and `.bias`."""

    words = "deberta.embeddings.word_embeddings"
    positions = "deberta.embeddings.position_embeddings"
    types = "deberta.embeddings.token_type_embeddings"
    widen = "deberta.embeddings.embed_proj"
    norm = "deberta.embeddings.LayerNorm"
    relative = "deberta.encoder.rel_embeddings"
    relative_norm = "deberta.encoder.LayerNorm"
    conv = "deberta.encoder.conv.conv"
    conv_norm = "deberta.encoder.conv.LayerNorm"
    layer = "deberta.encoder.layer.{}."
    query = "attention.self.query_proj"
    key = "attention.self.key_proj"
    value = "attention.self.value_proj"
    relative_query = "attention.self.pos_query_proj"
    relative_key = "attention.self.pos_key_proj"
    mix = "attention.output.dense"
    mix_norm = "attention.output.LayerNorm"
    up = "intermediate.dense"
    down = "output.dense"
    down_norm = "output.LayerNorm"
    head = "classifier"

"""BERT and its kin, which differ in where positions begin: RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA.

Devlin et al. 2018, https://arxiv.org/abs/1810.04805.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bento.checkpoint.families.description import Description, Embeddings, Family, Layer, plain_scale

# What the encoder is called in a token classifier of each; those whose positions begin after the padding id.
PREFIXES = {
    "bert": "bert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "electra": "electra",
}
AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})


def describe(config: Any) -> Description:
    """The encoder of a configuration."""
    prefix = PREFIXES[config.model_type]
    narrow = getattr(config, "embedding_size", config.hidden_size) != config.hidden_size
    return Description(
        embeddings=Embeddings(
            words=f"{prefix}.embeddings.word_embeddings",
            positions=f"{prefix}.embeddings.position_embeddings",
            first_position=config.pad_token_id + 1 if config.model_type in AFTER_PADDING else 0,
            types=f"{prefix}.embeddings.token_type_embeddings",
            norm=f"{prefix}.embeddings.LayerNorm",
            widen=f"{prefix}.embeddings_project" if narrow else None,
            widen_after_norm=True,
        ),
        layers=tuple(layer(f"{prefix}.encoder.layer.{number}") for number in range(config.num_hidden_layers)),
        heads=config.num_attention_heads,
        head_size=config.hidden_size // config.num_attention_heads,
        scale=plain_scale(config),
        activation=config.hidden_act,
        epsilon=config.layer_norm_eps,
    )


def layer(prefix: str) -> Layer:
    """Names of one layer."""
    return Layer(
        projections=(
            f"{prefix}.attention.self.query",
            f"{prefix}.attention.self.key",
            f"{prefix}.attention.self.value",
        ),
        mix=f"{prefix}.attention.output.dense",
        mix_norm=f"{prefix}.attention.output.LayerNorm",
        up=f"{prefix}.intermediate.dense",
        down=f"{prefix}.output.dense",
        down_norm=f"{prefix}.output.LayerNorm",
    )


def refused(config: Mapping[str, Any]) -> dict[str, Any]:
    """See Family. A decoder's tokens do not see those that follow; a count of positions needs its beginning."""
    found = {"is_decoder": True} if config.get("is_decoder") else {}
    start = config.get("pad_token_id", 1)
    if config.get("model_type") in AFTER_PADDING and not (isinstance(start, int) and start >= 0):
        found["pad_token_id"] = start
    return found


FAMILY = Family(describe, refused)

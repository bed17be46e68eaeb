"""DistilBERT (Sanh et al. 2019, https://arxiv.org/abs/1910.01108): BERT without types of tokens, under other names."""

from __future__ import annotations

from typing import Any

from bento.checkpoint.families.description import Description, Embeddings, Family, Layer, plain_scale

# No setting: its class has it as a constant.
EPSILON = 1e-12


def describe(config: Any) -> Description:
    """The encoder of a configuration."""
    return Description(
        embeddings=Embeddings(
            words="distilbert.embeddings.word_embeddings",
            positions="distilbert.embeddings.position_embeddings",
            norm="distilbert.embeddings.LayerNorm",
        ),
        layers=tuple(layer(f"distilbert.transformer.layer.{number}") for number in range(config.num_hidden_layers)),
        heads=config.num_attention_heads,
        head_size=config.hidden_size // config.num_attention_heads,
        scale=plain_scale(config),
        activation=config.activation,
        epsilon=EPSILON,
    )


def layer(prefix: str) -> Layer:
    """Names of one layer."""
    return Layer(
        projections=(f"{prefix}.attention.q_lin", f"{prefix}.attention.k_lin", f"{prefix}.attention.v_lin"),
        mix=f"{prefix}.attention.out_lin",
        mix_norm=f"{prefix}.sa_layer_norm",
        up=f"{prefix}.ffn.lin1",
        down=f"{prefix}.ffn.lin2",
        down_norm=f"{prefix}.output_layer_norm",
    )


FAMILY = Family(describe, activations=("activation",))

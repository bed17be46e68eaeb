"""ModernBERT (Warner et al. 2024, https://arxiv.org/abs/2412.13663): norms before products, rotated queries and keys.

Most layers attend to near tokens only, and have a rotation of their own. The feed-forward part is gated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bento.checkpoint.families.description import Description, Embeddings, Family, Head, Joint, Layer, plain_scale


def describe(config: Any) -> Description:
    """The encoder of a configuration."""
    return Description(
        embeddings=Embeddings(words="model.embeddings.tok_embeddings", norm="model.embeddings.norm"),
        layers=tuple(layer(number, config) for number in range(config.num_hidden_layers)),
        heads=config.num_attention_heads,
        head_size=config.hidden_size // config.num_attention_heads,
        scale=plain_scale(config),
        activation=config.hidden_activation,
        epsilon=config.norm_eps,
        gated=True,
        pre_norm=True,
        head=Head(dense="head.dense", norm="head.norm", activation=config.classifier_activation),
    )


def layer(number: int, config: Any) -> Layer:
    """One layer; its last norm is the one that the next layer begins with."""
    prefix, kind = f"model.layers.{number}", config.layer_types[number]
    last = number + 1 == config.num_hidden_layers
    return Layer(
        projections=Joint(f"{prefix}.attn.Wqkv"),
        mix=f"{prefix}.attn.Wo",
        mix_norm=f"{prefix}.mlp_norm",
        up=f"{prefix}.mlp.Wi",
        down=f"{prefix}.mlp.Wo",
        down_norm="model.final_norm" if last else f"model.layers.{number + 1}.attn_norm",
        window=config.local_attention // 2 if kind == "sliding_attention" else 0,
        rotary_base=float(config.rope_parameters[kind]["rope_theta"]),
    )


def refused(config: Mapping[str, Any]) -> dict[str, Any]:
    """See Family. Rotations that grow with the text, and a window that leaves a token alone."""
    kinds = (config.get("rope_parameters") or {}).values()
    known = all(isinstance(kind, Mapping) and not set(kind) - {"rope_type", "rope_theta"} for kind in kinds)
    plain = known and all(kind.get("rope_type", "default") == "default" for kind in kinds)
    found = {} if plain else {"rope_parameters": config["rope_parameters"]}
    if config.get("local_attention", 128) < 2:
        found["local_attention"] = config["local_attention"]
    return found


FAMILY = Family(
    describe,
    refused,
    activations=("hidden_activation", "classifier_activation"),
    positions=frozenset({"rope_parameters", "global_rope_theta", "local_rope_theta"}),
)

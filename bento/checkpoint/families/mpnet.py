"""MPNet (Song et al. 2020, https://arxiv.org/abs/2004.09297): BERT with a bias of every head for every distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bento.checkpoint.families.description import Array, Description, Embeddings, Family, Layer, plain_scale

# Constants of its class: the padding id after which positions begin, and from which distance on all share a bucket.
PADDING, FARTHEST, BUCKETS = 1, 128, 32


def describe(config: Any) -> Description:
    """The encoder of a configuration."""
    return Description(
        embeddings=Embeddings(
            words="mpnet.embeddings.word_embeddings",
            positions="mpnet.embeddings.position_embeddings",
            first_position=PADDING + 1,
            norm="mpnet.embeddings.LayerNorm",
        ),
        layers=tuple(layer(f"mpnet.encoder.layer.{number}") for number in range(config.num_hidden_layers)),
        heads=config.num_attention_heads,
        head_size=config.hidden_size // config.num_attention_heads,
        scale=plain_scale(config),
        activation=config.hidden_act,
        epsilon=config.layer_norm_eps,
        buckets=buckets(),
        bias="mpnet.encoder.relative_attention_bias",
    )


def layer(prefix: str) -> Layer:
    """Names of one layer."""
    return Layer(
        projections=(f"{prefix}.attention.attn.q", f"{prefix}.attention.attn.k", f"{prefix}.attention.attn.v"),
        mix=f"{prefix}.attention.attn.o",
        mix_norm=f"{prefix}.attention.LayerNorm",
        up=f"{prefix}.intermediate.dense",
        down=f"{prefix}.output.dense",
        down_norm=f"{prefix}.output.LayerNorm",
    )


def buckets() -> Array:
    """Of each distance -FARTHEST ... FARTHEST. Theirs, because a logarithm's last bit would change a bucket."""
    import torch  # noqa: PLC0415 - other families do without either
    from transformers.models.mpnet import modeling_mpnet as theirs  # noqa: PLC0415

    distances = torch.arange(-FARTHEST, FARTHEST + 1)
    encoder: Any = theirs.MPNetEncoder
    found: torch.Tensor = encoder.relative_position_bucket(-distances, BUCKETS, FARTHEST)
    return found.numpy().astype(np.int32)


def refused(config: Mapping[str, Any]) -> dict[str, Any]:
    """See Family. transformers reads the number of buckets and then computes with another."""
    name = "relative_attention_num_buckets"
    return {name: config[name]} if config.get(name, BUCKETS) != BUCKETS else {}


FAMILY = Family(describe, refused)

"""DeBERTa, versions 1 to 3: scores with terms of content and relative position (He et al. 2021).

https://arxiv.org/abs/2006.03654, equation 4, with t(q - k) a distance's row in the relative embeddings P:
    score[q, k] = (Q[q] · K[k]  +  Q[q] · PK[t]  +  K[k] · PQ[t]) / sqrt(3 d)
PK and PQ are the rows of P, projected. The second term is called c2p, the third p2c; each may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bento.checkpoint.families import bert
from bento.checkpoint.families.description import Array, Convolution, Description, Embeddings, Family, Joint, Layer

# Terms of its scores, norms of its relative embeddings, and settings of the original that transformers does not know:
# in any version, and in the first.
TERMS = frozenset({"c2p", "p2c"})
NORMS = frozenset({"none", "layer_norm"})
UNKNOWN = ("talking_head",)
UNKNOWN_TO_V1 = ("share_att_key", "conv_kernel_size", "position_buckets")


def describe(config: Any) -> Description:
    """The encoder of a configuration."""
    terms = frozenset(config.pos_att_type or ())
    head_size = config.hidden_size // config.num_attention_heads
    relative = bool(config.relative_attention)
    layer = _layer_of_v1 if config.model_type == "deberta" else _layer_of_v2
    normed = "layer_norm" in str(getattr(config, "norm_rel_ebd", "none")).lower()
    narrow = getattr(config, "embedding_size", config.hidden_size) != config.hidden_size
    return Description(
        embeddings=Embeddings(
            words="deberta.embeddings.word_embeddings",
            positions="deberta.embeddings.position_embeddings" if config.position_biased_input else None,
            types="deberta.embeddings.token_type_embeddings" if config.type_vocab_size > 0 else None,
            widen="deberta.embeddings.embed_proj" if narrow else None,
            norm="deberta.embeddings.LayerNorm",
        ),
        layers=tuple(
            layer(f"deberta.encoder.layer.{number}", config, terms if relative else frozenset())
            for number in range(config.num_hidden_layers)
        ),
        heads=config.num_attention_heads,
        head_size=head_size,
        scale=1 / math.sqrt(head_size * (1 + len(terms))),
        activation=config.hidden_act,
        epsilon=config.layer_norm_eps,
        buckets=distance_buckets(config) if relative and terms else None,
        relative="deberta.encoder.rel_embeddings",
        relative_norm="deberta.encoder.LayerNorm" if normed else None,
        convolution=_convolution(config),
    )


def distance_buckets(config: Any) -> Array:
    """Of each distance -reach ... reach (query minus key), its row in the relative embeddings.

    Version 1 and models without buckets have a row for every distance; beyond the longest it does not change any more.
    """
    longest = config.max_relative_positions if config.max_relative_positions > 0 else config.max_position_embeddings
    buckets = getattr(config, "position_buckets", -1)
    span = buckets if buckets > 0 else longest
    distances = np.arange(-longest, longest + 1)
    if buckets > 0:
        distances = _in_logarithms(distances, buckets, longest)
    table: Array = np.clip(distances + span, 0, 2 * span - 1).astype(np.int32)
    return table


def _in_logarithms(distances: Array, buckets: int, longest: int) -> Array:
    """Theirs, because a rounding of its logarithms that differs in the last bit would change a bucket."""
    import torch  # noqa: PLC0415 - random weights (convert/random_weights.py) do without either
    from transformers.models.deberta_v2 import modeling_deberta_v2 as theirs  # noqa: PLC0415

    found: torch.Tensor = theirs.make_log_bucket_position(torch.from_numpy(distances), buckets, longest)
    return found.long().numpy()


def _layer_of_v2(prefix: str, config: Any, terms: frozenset[str]) -> Layer:
    own = f"{prefix}.attention.self"
    shared = bool(getattr(config, "share_att_key", False))
    key, query = (f"{own}.{part}" for part in ("key_proj", "query_proj"))
    return replace(
        bert.layer(prefix),
        projections=(query, key, f"{own}.value_proj"),
        position_key=(key if shared else f"{own}.pos_key_proj") if "c2p" in terms else None,
        position_query=(query if shared else f"{own}.pos_query_proj") if "p2c" in terms else None,
    )


def _layer_of_v1(prefix: str, config: Any, terms: frozenset[str]) -> Layer:
    own = f"{prefix}.attention.self"
    return replace(
        bert.layer(prefix),
        projections=Joint(f"{own}.in_proj", by_head=True, biases=(f"{own}.q_bias", None, f"{own}.v_bias")),
        position_key=f"{own}.pos_proj" if "c2p" in terms else None,
        position_query=f"{own}.pos_q_proj" if "p2c" in terms else None,
    )


def _convolution(config: Any) -> Convolution | None:
    """That of the models XL and XXL of version 2, and no others."""
    if config.model_type == "deberta" or getattr(config, "conv_kernel_size", 0) <= 0:
        return None
    return Convolution(
        name="deberta.encoder.conv.conv",
        norm="deberta.encoder.conv.LayerNorm",
        kernel=config.conv_kernel_size,
        groups=getattr(config, "conv_groups", 1),
        activation=getattr(config, "conv_act", "tanh"),
    )


def refused(config: Mapping[str, Any]) -> dict[str, Any]:
    """See Family."""
    first = config.get("model_type") == "deberta"
    unknown = (*UNKNOWN, *UNKNOWN_TO_V1) if first else UNKNOWN
    found = {name: config[name] for name in unknown if config.get(name) not in (None, False, 0, -1)}
    if _parts(config.get("pos_att_type")) - TERMS:
        found["pos_att_type"] = config["pos_att_type"]
    if _parts(config.get("norm_rel_ebd")) - (NORMS - {"layer_norm"} if first else NORMS):
        found["norm_rel_ebd"] = config["norm_rel_ebd"]
    size, own = "attention_head_size", config.get("attention_head_size")
    if own and own * config.get("num_attention_heads", 0) != config.get("hidden_size", 0):
        found[size] = own
    return found


def _parts(value: Any) -> set[str]:
    """Of a setting like "p2c|c2p", or a list."""
    parts = value.split("|") if isinstance(value, str) else value or ()
    return {str(part).strip().lower() for part in parts} - {""}


FAMILY = Family(describe, refused, activations=("hidden_act", "conv_act"))

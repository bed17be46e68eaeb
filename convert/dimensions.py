"""The dimensions of published encoders, and what one text costs with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# What is the same in all models of an architecture, as transformers' configuration has it.
COMMON: dict[str, dict[str, Any]] = {
    "deberta-v2": {
        "max_position_embeddings": 512,
        "relative_attention": True,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "bert": {"max_position_embeddings": 512},
    "distilbert": {"max_position_embeddings": 512},
    "roberta": {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1},
    "xlm-roberta": {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1},
    # Two of three layers attend to 64 tokens on each side. Special tokens are those of the embedded model's tokenizer.
    "modernbert": {
        "max_position_embeddings": 8192,
        "local_attention": 128,
        "global_attn_every_n_layers": 3,
        "pad_token_id": 0,
        **dict.fromkeys(["bos_token_id", "cls_token_id"], 1),
        **dict.fromkeys(["eos_token_id", "sep_token_id"], 2),
    },
}
# The setting of the width inside the feed-forward part, where it has another name.
INNER = {"distilbert": "hidden_dim"}


@dataclass(frozen=True)
class Dimensions:
    """Layers, width of a token, heads, width inside the feed-forward part, vocabulary, `model_type`."""

    layers: int
    hidden: int
    heads: int
    inner: int
    vocabulary: int = 128_100
    architecture: str = "deberta-v2"

    def config(self) -> dict[str, Any]:
        """As transformers' AutoConfig.for_model takes it, its `model_type` first."""
        return {
            "model_type": self.architecture,
            "id2label": {0: "human", 1: "machine"},
            **COMMON[self.architecture],
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            INNER.get(self.architecture, "intermediate_size"): self.inner,
            "vocab_size": self.vocabulary,
        }

    def operations(self, tokens: int) -> int:
        """Multiplications and additions of all matrix products for one text, padding not counted.

        A layer: Q, K, V and output, two of the feed-forward part, three where it is gated; Q.K and P.V against all
        tokens, or those that a local layer sees; and both position terms of DeBERTa, against as many buckets as there
        are at this length (at most two times position_buckets).
        """
        common = COMMON[self.architecture]
        gated, window = self.architecture == "modernbert", int(common.get("local_attention", 0))
        every = int(common.get("global_attn_every_n_layers", 1))
        everywhere = -(-self.layers // every)
        seen = sum(min(tokens, place + window // 2 + 1) - max(0, place - window // 2) for place in range(tokens))
        pairs = everywhere * tokens**2 + (self.layers - everywhere) * seen
        positions: int = min(2 * common.get("position_buckets", 0), 2 * tokens - 1)
        dense = 4 * self.hidden**2 + (3 if gated else 2) * self.hidden * self.inner
        return 4 * self.hidden * pairs + 2 * self.layers * tokens * (dense + 2 * positions * self.hidden)


_LARGE = (24, 1024, 16, 4096)
_BASE = (12, 768, 12, 3072)
# By the names that their makers gave them.
PUBLISHED = {
    "deberta-v3-xsmall": Dimensions(12, 384, 6, 1536),
    "deberta-v3-small": Dimensions(6, 768, 12, 3072),
    "deberta-v3-base": Dimensions(*_BASE),
    "deberta-v3-large": Dimensions(*_LARGE),
    "bert-base": Dimensions(*_BASE, 30_522, "bert"),
    "bert-large": Dimensions(*_LARGE, 30_522, "bert"),
    "roberta-base": Dimensions(*_BASE, 50_265, "roberta"),
    "roberta-large": Dimensions(*_LARGE, 50_265, "roberta"),
    "xlm-roberta-base": Dimensions(*_BASE, 250_002, "xlm-roberta"),
    "xlm-roberta-large": Dimensions(*_LARGE, 250_002, "xlm-roberta"),
    "modernbert-base": Dimensions(22, 768, 12, 1152, 50_368, "modernbert"),
    "modernbert-large": Dimensions(28, 1024, 16, 2624, 50_368, "modernbert"),
    "distilbert": Dimensions(6, 768, 12, 3072, 30_522, "distilbert"),
}

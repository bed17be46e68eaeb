"""The architecture of the embedded model: DeBERTa-v2 with the attention settings of v3, 3.6 million parameters."""

from typing import Any

import torch
from transformers import DebertaV2Config, DebertaV2ForTokenClassification

from train.tokenizer import SPECIAL, WINDOW

Tensor = torch.Tensor
PAD, MASK = SPECIAL.index("[PAD]"), SPECIAL.index("[MASK]")


def config(vocabulary: int, hidden: int = 192, layers: int = 5, heads: int = 3, inner: int = 640) -> DebertaV2Config:
    """Return the configuration; the defaults keep FP32 and INT8 weights within 20 MB together."""
    # A dictionary, because the class does not declare the settings of v3 that it reads.
    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "relative_attention": True,
        "position_buckets": 128,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "max_relative_positions": WINDOW,
        "max_position_embeddings": WINDOW,
        "type_vocab_size": 0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": PAD,
        "id2label": {0: "human", 1: "machine"},
        "label2id": {"human": 0, "machine": 1},
    }
    return DebertaV2Config(**settings)


def pad(rows: list[list[int]], value: int = PAD) -> Tensor:
    """Return rows of different lengths as one matrix, padded with `value`."""
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


class Masked(torch.nn.Module):
    """Masked-token pretraining: predicts the masked tokens, with the input embeddings as output weights.

    The output layer is computed for masked tokens only; for all tokens it would cost as much as the encoder.
    """

    def __init__(self, classifier: DebertaV2ForTokenClassification) -> None:
        super().__init__()
        self.encoder: Any = classifier.deberta
        width = classifier.config.hidden_size
        self.head = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.LayerNorm(width))
        self.bias = torch.nn.Parameter(torch.zeros(classifier.config.vocab_size))

    def train(self, mode: bool = True) -> "Masked":
        """Never use dropout: five rounds over the prose overfit little, and training is a fifth faster without."""
        return super().train(False)

    def forward(self, ids: Tensor) -> Tensor:
        """Mask 20 % of the ids (of these 10 % stay, 10 % become another token); return the mean cross-entropy."""
        hidden_places = (torch.rand(ids.shape) < 0.2) & (ids >= len(SPECIAL))
        fate = torch.rand(ids.shape)
        shown = torch.where(hidden_places & (fate < 0.8), MASK, ids)
        other = torch.randint(len(SPECIAL), self.bias.numel(), ids.shape)
        shown = torch.where(hidden_places & (fate > 0.9), other, shown)
        out = self.encoder(shown, attention_mask=(ids != PAD).long()).last_hidden_state[hidden_places]
        table = self.encoder.embeddings.word_embeddings.weight
        logits = torch.nn.functional.linear(self.head(out), table, self.bias)
        return torch.nn.functional.cross_entropy(logits.float(), ids[hidden_places])

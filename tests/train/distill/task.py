"""A task that takes many texts to learn: which of two sets each of 120 words is of, and what that says of its run.

In a machine's run nine words of ten are of the first set, in a person's nine of ten of the second.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from tokenizers import models, pre_tokenizers, processors, trainers

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
WORDS = [a + b for a, b in zip(SYLLABLES, SYLLABLES[7:] + SYLLABLES[:7], strict=True)] + SYLLABLES
random.Random(3).shuffle(WORDS)  # noqa: S311
SETS = WORDS[60:], WORDS[:60]


@dataclass(frozen=True)
class Made:
    """A text and its words' labels."""

    text: str
    labels: list[int]


def made(count: int, seed: int) -> list[Made]:
    """So many texts of 20 to 40 words, in runs of 5 to 12."""
    rng = random.Random(seed)  # noqa: S311

    def one() -> Iterator[tuple[str, int]]:
        left, label = rng.randint(20, 40), rng.randint(0, 1)
        while left > 0:
            for _ in range(min(left, length := rng.randint(5, 12))):
                yield rng.choice(SETS[label if rng.random() < 0.9 else 1 - label]), label
            left, label = left - length, 1 - label

    pairs = [list(one()) for _ in range(count)]
    return [Made(" ".join(word for word, _ in each), [label for _, label in each]) for each in pairs]


def write(path: Path, texts: Sequence[Made], labelled: int) -> Path:
    """JSON Lines, the first of them with labels."""
    lines = [
        {"text": one.text} | ({"labels": one.labels} if number < labelled else {}) for number, one in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def tokenizer(size: int = 400) -> tokenizers.Tokenizer:
    """Unigram, with more pieces than the words need."""
    unigram = tokenizers.Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unknown: dict[str, Any] = {"unk_token": "[UNK]"}
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False, **unknown)
    prose = ["The committee met on Tuesday, and after a long debate it agreed to postpone the vote."]
    unigram.train_from_iterator([*prose, *(one.text for one in made(200, 1))], trainer)
    unigram.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return unigram


def checkpoint(folder: Path, layers: int = 2, **settings: Any) -> Path:
    """An untrained DeBERTa of the task's tokenizer."""
    fast = tokenizer()
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "num_hidden_layers": layers}
    known = {
        "vocab_size": fast.get_vocab_size(),
        "relative_attention": True,
        "position_buckets": 32,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "max_position_embeddings": 128,
        "max_relative_positions": 128,
        "type_vocab_size": 0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 0,
        "id2label": {0: "human", 1: "machine"},
        "label2id": {"human": 0, "machine": 1},
    }
    transformers.set_seed(5)
    config = transformers.DebertaV2Config(**(known | sizes | settings))
    transformers.DebertaV2ForTokenClassification(config).save_pretrained(folder)
    fast.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]", "model_max_length": 128}))
    return folder

"""Train a very small checkpoint, to walk through the tutorial with: a stand-in for yours, of no other use.

    python examples/make_checkpoint.py FOLDER

It is a BERT of 2 layers and a width of 64, in the form in which transformers' `save_pretrained` writes one, trained for
some seconds on a CPU to tell the machine's passages in convert/data/prose.jsonl.gz from the others.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

PROSE = Path(__file__).resolve().parent.parent / "convert" / "data" / "prose.jsonl.gz"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = 60  # the longest piece of a passage in an example
STEPS, BATCH, SEED = 100, 16, 24


def read() -> tuple[list[str], list[str]]:
    """The passages of people, and those of the machine."""
    with gzip.open(PROSE, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [text for kind, text in rows if kind != "machine"], [text for kind, text in rows if kind == "machine"]


def tokenizer_of(texts: list[str]) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of 3,000 pieces."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token of the vocabulary
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=3000, special_tokens=SPECIAL))
    ends = [(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=512, **names)


def example(chance: random.Random, human: list[str], machine: list[str]) -> tuple[str, int, bool]:
    """A text of two pieces, where the second begins (in characters), and whether the machine wrote the first."""
    pieces = [" ".join(chance.choice(texts).split()[: chance.randint(5, WORDS)]) for texts in (human, machine)]
    swapped = chance.random() < 0.5
    first, second = reversed(pieces) if swapped else pieces
    return f"{first} {second}", len(first), swapped


def train(human: list[str], machine: list[str]) -> tuple[BertForTokenClassification, PreTrainedTokenizerFast]:
    """The model after STEPS steps, in evaluation mode, and its tokenizer."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # for a model this small, more threads take longer
    chance = random.Random(SEED)  # noqa: S311 - no secret
    tokenizer = tokenizer_of(human + machine)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256,
        attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0,
        id2label={0: "HUMAN", 1: "MACHINE"}, label2id={"HUMAN": 0, "MACHINE": 1},
    )  # fmt: skip
    model = BertForTokenClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(STEPS):
        texts, bounds, swapped = zip(*(example(chance, human, machine) for _ in range(BATCH)), strict=True)
        batch = tokenizer(list(texts), padding=True, return_tensors="pt", return_offsets_mapping=True)
        starts, stops = batch.pop("offset_mapping").unbind(-1)
        second = starts >= torch.tensor(bounds)[:, None]
        labels = (second ^ torch.tensor(swapped)[:, None]).long()
        labels[starts == stops] = -100  # special tokens and padding
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), tokenizer


def main() -> None:
    """Write the checkpoint to the folder that the command names."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python examples/make_checkpoint.py FOLDER")
    human, machine = read()
    model, tokenizer = train(human, machine)
    for part in (model, tokenizer):
        part.save_pretrained(sys.argv[1])
    with torch.no_grad():
        means = [
            np.mean([model(**tokenizer(text, return_tensors="pt", truncation=True)).logits.softmax(-1)[0, :, 1].mean()
                     for text in texts])
            for texts in (human, machine)
        ]  # fmt: skip
    print(f"{sys.argv[1]}: mean probability {means[0]:.2f} on people's passages, {means[1]:.2f} on the machine's")


if __name__ == "__main__":
    main()

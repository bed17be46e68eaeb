"""Measures, for each kind of prose, a model that was trained without the labels of that kind.

    python -m train.leftout

The pretrained encoder of `make train`, whose masked tokens are of every kind, is trained on the labels of the other
kinds, and judged on the test documents of the kind that was left out, in PyTorch. The results are in
build/train/left-out; a kind with a result is not trained again.
"""

import argparse
import json

from train.command import BUILD, run
from train.generate import everything
from train.kinds import KINDS, documents
from train.learning import begin, corpora, label
from train.measure import Figures, compose, measure
from train.recipe import Recipe
from train.scores import word_scores

FOLDER = BUILD / "left-out"


def left_out(kind: str, recipe: Recipe, count: int) -> Figures:
    """Return the figures of one kind, on `count` documents."""
    done = FOLDER / f"{kind}.json"
    if not done.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        tokenizer, model = begin(corpora(), recipe, BUILD)
        others = corpora([name for name in KINDS if name != kind])
        label(model, tokenizer, others, recipe, FOLDER / f"{kind}.pt")
        test = documents("test", [kind])
        examples = compose(test, everything(test), count, tokenizer)
        scores = {name: word_scores(model, tokenizer, [e.text for e in some]) for name, some in examples.items()}
        done.write_text(json.dumps(measure(examples, scores), indent=2) + "\n")
    found: Figures = json.loads(done.read_text())
    return found


def known() -> dict[str, Figures]:
    """Return the figures of the kinds that have a result."""
    return {kind: json.loads(done.read_text()) for kind in KINDS if (done := FOLDER / f"{kind}.json").exists()}


def main() -> None:
    """Print the word ROC-AUC of each kind that is left out (hours; resumable)."""
    parser = argparse.ArgumentParser(prog="python -m train.leftout", description=main.__doc__)
    parser.add_argument("--documents", type=int, default=800, help="documents a kind (default %(default)s)")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), help="default: all")
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        found = left_out(kind, Recipe(), arguments.documents)
        human = found["human_words_above_threshold"]
        print(f"{kind}: word AUC {found['word_auc']:.3f}, human words above 0.5 {human:.1%}")


if __name__ == "__main__":
    run(main)

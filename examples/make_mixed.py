"""Make the README's example: a passage of a held-out address in which the machine wrote one span.

    python examples/make_mixed.py

writes `mixed.txt`, and `mixed.labels.json` with the truth: for each word, 0 for a person and 1 for the machine. It is
the first passage of 90 to 140 words that the test split's composer draws with one span of at least 25 words: not chosen
by what the model says of it.

`mixed.jsonl` has TEXTS texts with a label for each word, for `wordtell evaluate`: half mixed, a quarter wholly human, a
quarter wholly the machine's, of the same split. The human prose is in the public domain, the machine's is SmolLM2's
(Apache-2.0).
"""

import itertools
import json
import random
from pathlib import Path

from train.command import run
from train.corpus import by_split
from train.dataset import MACHINE, Composer, Example
from train.generate import load

FOLDER = Path(__file__).resolve().parent
SEED = 1
WORDS = range(90, 141)
LEAST = 25
TEXTS = 40


def fits(example: Example) -> bool:
    """Whether exactly one run of words, long enough, is the machine's, with a person's words on both sides."""
    runs = [(label, len(list(group))) for label, group in itertools.groupby(example.labels)]
    machine = [length for label, length in runs if label == MACHINE]
    return len(example.labels) in WORDS and len(runs) == 3 and len(machine) == 1 and machine[0] >= LEAST


def make() -> Example:
    """Return the example."""
    documents = by_split("test")
    composer, rng = Composer(documents, load(documents)), random.Random(SEED)  # noqa: S311 - no secret
    return next(filter(fits, (composer.compose(rng, "mixed") for _ in itertools.count())))


def labelled() -> list[Example]:
    """Return the texts of mixed.jsonl."""
    documents = by_split("test")
    composer, rng = Composer(documents, load(documents)), random.Random(SEED)  # noqa: S311 - no secret
    kinds = ["mixed"] * (TEXTS // 2) + ["human"] * (TEXTS // 4) + ["machine"] * (TEXTS // 4)
    return [composer.compose(rng, kind) for kind in kinds]


def main() -> None:
    """Write the three files."""
    example = make()
    (FOLDER / "mixed.txt").write_text(example.text + "\n", encoding="utf-8")
    lines = [json.dumps({"text": one.text, "labels": one.labels}, ensure_ascii=False) for one in labelled()]
    (FOLDER / "mixed.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (FOLDER / "mixed.labels.json").write_text(json.dumps(example.labels) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)

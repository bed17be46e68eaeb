"""Calibrates the embedded model, and counts what the thresholds mark in other texts: `make calibrate`.

The thresholds come from passages of the validation split of the kinds of prose that the model was trained on, with
lengths that are uniform within each group of lengths. The share of marked passages is then counted on the test split of
each kind, and on Wikipedia introductions, which are another population: the calibration promises nothing about them.
"""

import argparse
import json
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from bento.text import spans
from evaluate.calibrating import EDGES, calibrate
from evaluate.scoring import score
from train.card import render
from train.command import BUILD, run
from train.corpus import Document
from train.evaluate import EXACT, FIGURES, FOLDER, trained_on
from train.kinds import documents
from train.wikipedia import introductions

SEED = 41
MOST = 400
"""Passages of a group of length."""

POPULATIONS = {"addresses": "addresses of American presidents (years ending in 8)"}
"""What the validation split of a kind is called, where its name does not say it."""


def population(kinds: list[str]) -> str:
    """Return the name of the population that is calibrated for."""
    return f"passages of {', '.join(POPULATIONS.get(kind, kind) for kind in kinds)}"


def passages(texts: list[Document]) -> Iterator[str]:
    """Passages of the documents, at most `MOST` per group of lengths; those of one group do not overlap."""
    rng = random.Random(SEED)
    for least, stop in pairwise((10, *EDGES[1:])):
        found = []
        for document in texts:
            words, at = document.text.split(), 0
            while at + (length := rng.randrange(least, stop)) <= len(words):
                found.append(" ".join(words[at : at + length]))
                at += length
        yield from rng.sample(found, min(MOST, len(found)))


def marked(folder: Path, texts: list[str]) -> dict[str, tuple[int, int]]:
    """For each group of lengths: the number of marked texts, and the number of texts that have a threshold."""
    scored = score(str(folder), texts)
    counts: dict[str, tuple[int, int]] = {}
    for values, threshold in zip(scored.scores, scored.thresholds, strict=True):
        if threshold.abstains:
            continue
        least = max(edge for edge in EDGES if edge <= len(values))
        hits, count = counts.get(str(least), (0, 0))
        counts[str(least)] = hits + bool(spans.find(values, threshold.value)), count + 1
    return counts


def main() -> None:
    """Calibrate the embedded model in both precisions; count the marked texts of the test split and of Wikipedia."""
    argparse.ArgumentParser(prog="python -m train.promise", description=main.__doc__).parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    kinds = trained_on(FOLDER)
    human = BUILD / "human.jsonl"
    lines = [json.dumps({"text": text}) for kind in kinds for text in passages(documents("validation", [kind]))]
    human.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for folder in (FOLDER, EXACT):
        found = calibrate(folder, human, None, 0.01, population(kinds))
    others = {kind: documents("test", [kind]) for kind in kinds} | {"wikipedia": introductions()}
    promise = {name: marked(FOLDER, list(passages(texts))) for name, texts in others.items()}
    figures = json.loads(FIGURES.read_text())
    figures["marked_at_1_percent"] = promise
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    for folder in (FOLDER, EXACT):
        (folder / "README.md").write_text(render(figures))
    for group in found.groups:
        print(group)
    for name, counts in promise.items():
        print(
            name,
            {least: f"{hits} of {count}" for least, (hits, count) in counts.items()},
        )


if __name__ == "__main__":
    run(main)

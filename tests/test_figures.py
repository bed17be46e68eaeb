"""The README's figures are those of train/figures.json, and its example is what the embedded model says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bento import artifact
from bento.detector import Detector
from bento.settings import ROOT, ModelSettings, Settings
from examples import make_mixed
from train.card import render, table

FIGURES = json.loads((ROOT / "train" / "figures.json").read_text())
FOLDERS = sorted(path.parent for path in ROOT.glob("models/*/manifest.json"))


def test_the_readmes_rows_are_the_evaluations() -> None:
    rows = set(table(FIGURES).splitlines())
    readme = (ROOT / "README.md").read_text().splitlines()
    quoted = [line for line in readme if line.startswith(("| word ", "| words ", "| its ", "| machine "))]
    assert len(quoted) == 4
    assert set(quoted) <= rows


def test_the_picture_was_drawn_by_the_model_that_is_there() -> None:
    manifest = artifact.load(Settings().model.checkpoint_dir).manifest
    # Not the whole version: that names the processor's instruction set too.
    drawn_by = f"{manifest.name}-{manifest.precision}-{manifest.digest}"
    assert drawn_by in (ROOT / "docs" / "img" / "example.svg").read_text()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_card_is_made_of_the_figures(folder: Path) -> None:
    assert (folder / "README.md").read_text() == render(FIGURES)


def test_fp32_and_int8_together_stay_small() -> None:
    assert len(FOLDERS) == 2
    assert sum(file.stat().st_size for folder in FOLDERS for file in folder.iterdir()) <= 20_000_000


def test_the_example_is_drawn_by_its_script() -> None:
    example = make_mixed.make()
    assert (ROOT / "examples" / "mixed.txt").read_text() == example.text + "\n"
    assert json.loads((ROOT / "examples" / "mixed.labels.json").read_text()) == list(example.labels)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_model_tells_the_example_apart(folder: Path) -> None:
    """Through the runtime, as served: not how well in general (that is `make evaluate`), but that it is this model."""
    detector = Detector.load(Settings(model=ModelSettings(checkpoint_dir=folder)))
    (scores,) = asyncio.run(detector.score([(ROOT / "examples" / "mixed.txt").read_text()])).words
    detector.close()
    truth = json.loads((ROOT / "examples" / "mixed.labels.json").read_text())
    assert roc_auc_score(truth, np.asarray(scores)) > 0.95

"""Figures agree with public reference implementations; intervals and passages are what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import mean_absolute_error, roc_auc_score

from bento.passages import Threshold
from evaluate import figures
from evaluate.figures import Judged, find_boundary
from evaluate.scoring import Scored
from evaluate.texts import read_labelled

# By torchmetrics 1.9.0, functional.classification.binary_calibration_error(n_bins=15, norm="l1"), of these very values.
TORCHMETRICS_ECE = 0.155441


def reference() -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(200)
    values = np.round(((index * 37) % 101) / 100 * 0.98 + 0.007, 4)
    return ((index * 53) % 17 < 7 * values + 3).astype(int), values


def judged(
    path: Path, lines: list[dict[str, object]], scores: Sequence[ArrayLike], single_spaces: bool = False
) -> Judged:
    path.write_text("\n".join(map(json.dumps, lines)))
    texts = read_labelled(path, single_spaces)
    return Judged(texts, Scored("model", [np.array(one) for one in scores], [Threshold(value=0.5)] * len(texts)))


def test_the_calibration_error_is_torchmetrics_own() -> None:
    assert figures.ece(*reference()) == pytest.approx(TORCHMETRICS_ECE, abs=1e-6)


def test_a_text_drawn_twice_counts_twice(tmp_path: Path) -> None:
    truth, values = reference()
    lines = [{"text": "a " * 50, "labels": truth[at : at + 50].tolist()} for at in range(0, 200, 50)]
    one = judged(tmp_path / "a.jsonl", lines, [values[at : at + 50].tolist() for at in range(0, 200, 50)])
    twice = judged(tmp_path / "b.jsonl", [*lines, lines[2]], [*one.scored.scores, one.scored.scores[2]])
    counted, repeated = figures.measure(one, np.array([1.0, 1, 2, 1])), figures.measure(twice)
    assert counted.keys() == repeated.keys()
    for name, value in counted.items():
        assert value == pytest.approx(repeated[name], nan_ok=True), name
    assert figures.measure(one)["word ROC-AUC"] == pytest.approx(roc_auc_score(truth, values))


def test_boundaries_are_judged_as_semeval_2024_task_8c_does(tmp_path: Path) -> None:
    """Its scorer is scikit-learn's mean absolute error of indices into `text.split(" ")`."""
    texts = ["a b  c d e", "a b c\nd e f g", "a b c d"]
    true = [3, 2, 1]
    scores = [[0.1, 0.1, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9]]
    found = [3, 3, 0]  # "c" is the fourth piece of the first text; "c\nd" is one piece of the second
    lines = [{"text": text, "boundary": place} for text, place in zip(texts, true, strict=True)]
    one = judged(tmp_path / "a.jsonl", lines, scores, single_spaces=True)
    assert figures.measure(one)["boundary MAE, words"] == pytest.approx(mean_absolute_error(true, found))


@pytest.mark.parametrize(
    ("scores", "place"), [([0.1, 0.2, 0.9, 0.4, 0.9], 2), ([0.9, 0.9], 0), ([0.1, 0.1], 2), ([0.9, 0.1, 0.1, 0.9], 3)]
)
def test_the_boundary_is_the_likeliest(scores: list[float], place: int) -> None:
    assert find_boundary(np.array(scores)) == place


def test_passages_match_from_an_iou_of_one_half_on(tmp_path: Path) -> None:
    truth = [0] * 5 + [1] * 10 + [0] * 15 + [1] * 10
    scores = [0.0] * 5 + [0.9] * 5 + [0.0] * 20 + [0.9] * 4 + [0.0] * 6
    one = judged(tmp_path / "a.jsonl", [{"text": "a " * 40, "labels": truth}], [scores])
    # Two true passages; the model's first overlaps by 5 of 10, its second has 4 words, too few to be one.
    assert figures.measure(one)["span IoU-F1"] == pytest.approx(2 * 1 / (2 + 1))


def test_the_difference_of_a_model_to_itself_is_nothing(tmp_path: Path) -> None:
    truth, values = reference()
    lines = [{"text": "a " * 50, "labels": truth[at : at + 50].tolist()} for at in range(0, 200, 50)]
    one = judged(tmp_path / "a.jsonl", lines, [values[at : at + 50].tolist() for at in range(0, 200, 50)])
    for name, found in figures.difference(one, one).items():
        expected = float("nan") if name == "boundary MAE, words" else 0  # no text has one boundary
        assert [found.value, found.low, found.high] == pytest.approx([expected] * 3, nan_ok=True), name


def test_tpr_is_the_highest_within_the_rate() -> None:
    curve = np.array([0.0, 0.005, 0.01, 0.5, 1.0]), np.array([0.0, 0.2, 0.4, 0.9, 1.0])
    assert figures.tpr_at(curve, 0.01) == 0.4
    assert figures.tpr_at(curve, 0.001) == 0.0

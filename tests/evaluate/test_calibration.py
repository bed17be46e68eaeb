"""The promise of a calibration holds on its population, is not claimed for another, and an edited file is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bento import artifact, passages
from bento.artifact import ModelFolder
from bento.calibration import FILE, Calibration, Group, conformal_threshold, least_texts, load
from bento.errors import ArtifactError
from evaluate.calibrating import calibrate, grouped, temperature
from evaluate.errors import BadLine, EvaluateError, TooFewTexts

RATE = 0.01


def ranks(rng: np.random.Generator, count: int, shift: float = 0.0) -> list[float]:
    drawn: list[float] = np.round(np.clip(rng.beta(2, 5, count) + shift, 0, 1), 4).tolist()
    return drawn


def share_marked(shift: float, rate: float) -> float:
    """Over 1,000 draws of 200 human texts: how often the next text of a population, shifted or not, is marked."""
    rng, marked = np.random.default_rng(5), []
    for _ in range(1000):
        threshold = conformal_threshold(ranks(rng, 200), rate)
        assert threshold is not None
        marked.append(np.mean(np.array(ranks(rng, 200, shift)) >= threshold))
    return float(np.mean(marked))


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_the_promise_holds_over_1000_draws(rate: float) -> None:
    share = share_marked(0.0, rate)
    assert share <= rate + 0.001  # three standard errors of the mean of the simulation
    assert share >= 0.4 * rate  # and it is not kept by marking nothing


def test_it_does_not_travel_to_another_population() -> None:
    assert share_marked(0.2, RATE) > 5 * RATE


@pytest.mark.parametrize(("rate", "needed"), [(0.01, 99), (0.05, 19), (0.001, 999)])
def test_how_many_texts_a_promise_needs(rate: float, needed: int) -> None:
    assert least_texts(rate) == needed
    assert conformal_threshold([0.3] * (needed - 1), rate) is None
    assert conformal_threshold([0.3] * needed, rate) == 0.3001
    assert conformal_threshold([1.0] * needed, rate) is None


def test_groups_of_length_are_apart_and_cover_what_was_seen() -> None:
    groups = grouped([60] * 99 + [150] * 98 + [2000], [0.5] * 198, RATE)
    assert [(group.least, group.texts, group.threshold) for group in groups if group.texts] == [
        (50, 99, 0.5001),
        (100, 98, None),
        (1600, 1, None),
    ]
    assert groups[-1].most == 2000
    assert all(a.most + 1 == b.least for a, b in pairwise(groups))


def test_a_temperature_is_found_again() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, 50_000)
    truth = (rng.random(50_000) < 1 / (1 + np.exp(-logits))).astype(int)
    assert temperature(truth, 1 / (1 + np.exp(-2 * logits))) == pytest.approx(2, rel=0.05)


def written(folder: Path, model: str) -> Calibration:
    groups = (Group(1, 49, 3, None), Group(50, 99, 120, 0.8))
    found = Calibration(
        model=model, population="letters", texts=123, false_positive_rate=RATE, made="2026-01-01", groups=groups
    )
    (folder / FILE).write_text(found.to_json())
    return found


def test_it_comes_back_as_written_and_tells_a_threshold_by_length(tmp_path: Path) -> None:
    found = written(tmp_path, "0123abcd")
    assert load(tmp_path, "0123abcd") == found
    assert [found.threshold_for(words) for words in (49, 50, 99, 100)] == [None, 0.8, 0.8, None]
    short, long = (passages.threshold_for(found, words) for words in (20, 60))
    scores = [0.9] * 20
    assert (short.abstains, short.promise) == (True, None)
    assert passages.find("a " * 20, scores, short) == []
    assert passages.summarise(scores, [], short).model_dump(exclude_none=True) == {
        "mean": 0.9,
        "passages": 0,
        "abstained": True,
    }
    assert long.value == 0.8
    assert "letters" in str(long.promise)
    assert long.for_words(20).abstains


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda raw: raw["calibration"].update(population="others"), "so it was edited"),
        (lambda raw: raw.update(sha256="0" * 64), "so it was edited"),
        (lambda raw: raw.pop("sha256"), "has other keys"),
    ],
)
def test_an_edited_file_is_one_line(tmp_path: Path, change: Callable[[dict[str, Any]], object], fault: str) -> None:
    written(tmp_path, "0123abcd")
    raw = json.loads((tmp_path / FILE).read_text())
    change(raw)
    (tmp_path / FILE).write_text(json.dumps(raw))
    with pytest.raises(ArtifactError, match=fault):
        load(tmp_path, "0123abcd")


def test_another_models_is_refused(tmp_path: Path, fake_folder: ModelFolder) -> None:
    folder = shutil.copytree(fake_folder.path, tmp_path / "model")
    written(folder, "0123abcd")
    with pytest.raises(ArtifactError, match="belongs to the model 0123abcd"):
        artifact.load(folder)


def human(path: Path, count: int) -> Path:
    path.write_text("\n".join(json.dumps({"text": f"the ment {index} " * 20}) for index in range(count)))
    return path


def test_the_command_writes_what_serving_reads(
    tmp_path: Path, fake_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDTELL_MODEL__WINDOW_OVERLAP", "16")
    folder = shutil.copytree(fake_folder.path, tmp_path / "model")
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text(json.dumps({"text": "the ment a b", "labels": [0, 1, 1, 0]}))
    found = calibrate(folder, human(tmp_path / "human.jsonl", 99), labelled, RATE, "made up")
    assert artifact.load(folder).calibration == found
    assert found.temperature is not None
    calibrate(folder, tmp_path / "human.jsonl", None, RATE, "again")  # over one that is there


def test_too_few_texts_are_counted(tmp_path: Path, fake_folder: ModelFolder) -> None:
    with pytest.raises(TooFewTexts, match=r"needs 99 human texts of one group of length; it has 98 of 50 to 99 words"):
        calibrate(fake_folder.path, human(tmp_path / "human.jsonl", 98), None, RATE, "few")
    with pytest.raises(EvaluateError, match="--rate is 2"):
        calibrate(fake_folder.path, tmp_path / "human.jsonl", None, 2, "few")
    (tmp_path / "human.jsonl").write_text('{"txt": "a"}')
    with pytest.raises(BadLine, match="line 1: the key text is missing"):
        calibrate(fake_folder.path, tmp_path / "human.jsonl", None, RATE, "few")

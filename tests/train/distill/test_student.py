"""Every family's student: it begins as its teacher, lower layers first, whatever its vocabulary and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from bento.checkpoint import reading
from tests.convert.conftest import CHECKPOINTS, LABELS, build
from tests.train.distill import task
from train.distill.orders import Order
from train.distill.student import begin
from train.distill.teacher import Judgement, Teacher, carry, log_odds

TEXTS = [one.text for one in task.made(12, 2)]


def saved(folder: Path, kind: str, labels: dict[int, str]) -> Path:
    out = folder / kind
    build(out, kind, transformers.AutoModelForTokenClassification, labels, torch.float32)
    task.tokenizer(220).save(str(out / "tokenizer.json"))
    return out


def odds(folder: Path, text: str, machine: tuple[int, ...]) -> np.ndarray:
    """Log-odds [tokens] of the labels `machine`."""
    checkpoint = reading.read(str(folder))
    with torch.inference_mode():
        logits = checkpoint.model(torch.tensor([checkpoint.encode(text)])).logits[0].double()
    if logits.shape[1] == 1:
        return logits[:, 0].numpy()
    rest = [label for label in range(logits.shape[1]) if label not in machine]
    return (logits[:, list(machine)].logsumexp(1) - logits[:, rest].logsumexp(1)).numpy()


@pytest.fixture(scope="module", params=CHECKPOINTS)
def teacher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    """One of each family."""
    return Teacher(saved(tmp_path_factory.mktemp("teachers"), request.param, LABELS))


def test_a_whole_student_with_a_smaller_vocabulary_scores_as_its_teacher(teacher: Teacher, tmp_path: Path) -> None:
    begin(Order(prune=True), teacher, TEXTS, 1, tmp_path / "student")
    student = reading.read(str(tmp_path / "student"))
    rows = student.model.get_input_embeddings().weight.shape[0]
    assert rows == student.fast_tokenizer.get_vocab_size() < 220
    for text in TEXTS[:3]:
        assert np.abs(odds(teacher.path, text, (1,)) - odds(tmp_path / "student", text, (1,))).max() < 1e-4


def test_fewer_layers_are_the_teachers_lower_ones(teacher: Teacher, tmp_path: Path) -> None:
    said = begin(Order(layers=1), teacher, TEXTS, 1, tmp_path / "student")
    assert said.startswith("begun from the teacher's first 1 of ")
    small, large = (reading.read(str(folder)).model for folder in (tmp_path / "student", teacher.path))
    assert small.config.num_hidden_layers == 1
    theirs: dict[str, Any] = large.state_dict()
    own = small.state_dict()
    assert 0 < len(own) < len(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in own.items())


def test_a_narrower_student_begins_from_nothing_and_can_be_served(teacher: Teacher, tmp_path: Path) -> None:
    said = begin(Order(hidden=32), teacher, TEXTS, 1, tmp_path / "student")
    assert said.startswith("begun from nothing")
    assert reading.read(str(tmp_path / "student")).model.config.hidden_size == 32
    assert np.isfinite(odds(tmp_path / "student", TEXTS[0], (1,))).all()


@pytest.mark.parametrize(
    ("labels", "machine"), [({0: "AI"}, (0,)), ({0: "machine", 1: "human"}, (0,)), ({0: "human", 1: "AI"}, (1,))]
)
def test_the_head_is_the_teachers_whatever_its_labels(
    labels: dict[int, str], machine: tuple[int, ...], tmp_path: Path
) -> None:
    path = saved(tmp_path, "bert", labels)
    begin(Order(), Teacher(path), TEXTS, 1, tmp_path / "student")
    assert reading.read(str(tmp_path / "student")).labels == ("human", "machine")
    assert np.abs(odds(path, TEXTS[0], machine) - odds(tmp_path / "student", TEXTS[0], (1,))).max() < 1e-4


def test_a_teacher_of_places_of_spans_is_taken_as_two_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, "bert", {0: "O", 1: "B-AI", 2: "I-AI"})
    teacher = Teacher(path)
    assert begin(Order(), teacher, TEXTS, 1, tmp_path / "student").endswith("with a new head")
    judged = teacher.judge(TEXTS[:2], tmp_path / "scores")
    assert np.abs(judged[0].odds - odds(path, TEXTS[0], (1, 2))[1:-1]).max() < 1e-3


def test_scores_are_kept_and_read_again(tmp_path: Path) -> None:
    teacher = Teacher(saved(tmp_path, "bert", LABELS))
    first = teacher.judge(TEXTS, tmp_path / "scores")
    kept = (tmp_path / "scores" / "scores-00000.npz").stat().st_mtime_ns
    again = teacher.judge(TEXTS, tmp_path / "scores")
    assert (tmp_path / "scores" / "scores-00000.npz").stat().st_mtime_ns == kept
    assert len(first) == len(again) == len(TEXTS)
    assert all(
        np.array_equal(a.odds, b.odds) and np.array_equal(a.offsets, b.offsets)
        for a, b in zip(first, again, strict=True)
    )


def test_odds_are_carried_over_by_characters() -> None:
    judged = Judgement(np.array([[0, 4], [4, 6], [7, 9]], np.int32), np.array([1.0, 3.0, -2.0], np.float32))
    found = carry(judged, np.array([[0, 2], [2, 6], [6, 7], [6, 9]]))
    assert found[:2].tolist() == [1.0, 2.0]
    assert np.isnan(found[2])
    assert found[3] == -2.0
    assert carry(judged, judged.offsets) is judged.odds


def test_log_odds_of_certain_scores_are_finite() -> None:
    assert log_odds(np.array([0.0, 0.5, 1.0], np.float32)).tolist() == [-12.0, 0.0, 12.0]

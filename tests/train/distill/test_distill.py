"""`wordtell distill`: it goes on where it stopped, says in one line what is wrong, and teaches what gold does not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from bento.checkpoint import reading
from bento.errors import WordtellError
from evaluate.scoring import score
from tests.train.distill import task
from train.distill import learning
from train.distill.command import Asked, distill
from train.distill.learning import Lessons, Plan, Student, learn
from train.distill.orders import Order, ordered
from train.distill.rows import rows
from train.distill.texts import Piece

ROOT = Path(__file__).resolve().parents[3]
FEW = task.made(120, 4)


def asked(teacher: Path, folder: Path, order: Order, labelled: int = 60, **more: Any) -> Asked:
    file = folder / "texts.jsonl"
    if not file.exists():
        task.write(file, FEW, labelled)
    quick = {"steps": 8, "relation_steps": 4, "each": 8} | more
    return Asked(teacher=teacher, files=(file,), out=folder / "student", order=order, **quick)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


class Stopped(Exception):
    pass


def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    ignorant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("whole", "broken")]
    for folder in folders:
        folder.mkdir()
    orders = [asked(ignorant, folder, Order(layers=1, prune=True)) for folder in folders]
    distill(orders[0])
    real = learning._loss
    for stop in (5, 3):  # in the first stage, then in the second

        def stopping(*given: Any, calls: list[int] = [], stop: int = stop) -> torch.Tensor:  # noqa: B006
            calls.append(1)
            if len(calls) > stop + (3 if stop == 3 else 0):
                raise Stopped
            return real(*given)

        monkeypatch.setattr(learning, "_loss", stopping)
        with pytest.raises(Stopped):
            distill(orders[1])
        assert not orders[1].out.exists()
    monkeypatch.setattr(learning, "_loss", real)
    distill(orders[1])
    whole, resumed = (weights(order.out) for order in orders)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not orders[1].work.exists()


def test_the_student_has_the_shape_the_vocabulary_and_a_report(ignorant: Path, tmp_path: Path) -> None:
    order = asked(ignorant, tmp_path, Order(layers=1, prune=True), limit=1e6)
    told = distill(order)
    student = reading.read(str(order.out))
    assert student.model.config.num_hidden_layers == 1
    rows_of = student.model.get_input_embeddings().weight.shape[0]
    assert rows_of == student.model.config.vocab_size == student.fast_tokenizer.get_vocab_size() < 400
    assert student.fast_tokenizer.encode("committee").ids.count(3) == 0
    assert "| word ROC-AUC |" in told
    assert "| words a second, as given, on this machine |" in told
    assert "Advice: serve the " in told
    report = json.loads((order.out / "report" / "report.json").read_text())
    assert report["texts"] == 12
    assert set(report["served"]) == {"teacher", "student"}
    assert told.splitlines()[0] in (order.out / "report" / "report.md").read_text()


def test_a_student_of_the_teachers_own_shape_begins_as_the_teacher(ignorant: Path, tmp_path: Path) -> None:
    order = asked(ignorant, tmp_path, Order(prune=True), rate=0.0)
    distill(order)
    texts = [one.text for one in FEW[:20]]
    theirs, mine = (score(str(folder), texts).scores for folder in (ignorant, order.out))
    assert all(np.abs(a - b).max() <= 1e-4 for a, b in zip(theirs, mine, strict=True))


def test_labels_the_other_way_round_are_the_students_way(tmp_path: Path) -> None:
    turned = task.checkpoint(tmp_path / "turned", id2label={0: "AI", 1: "human"}, label2id={"AI": 0, "human": 1})
    order = asked(turned, tmp_path, Order(prune=True), rate=0.0)
    distill(order)
    texts = [one.text for one in FEW[:20]]
    theirs, mine = (score(str(folder), texts).scores for folder in (turned, order.out))
    assert all(np.abs(a - b).max() <= 1e-4 for a, b in zip(theirs, mine, strict=True))


def test_a_model_folder_teaches_a_student_of_another_tokenizer(tmp_path: Path) -> None:
    own = task.checkpoint(tmp_path / "own", layers=1)
    order = asked(ROOT / "models" / "wordtell-small", tmp_path, Order(source=own))
    told = distill(order)
    assert "mean distance from the teacher's scores" in told
    assert len(weights(order.out)) > 0


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (Order(layers=3), "a student with layers 3 is larger than its teacher, which has 2; lower --layers"),
        (Order(hidden=128), "a student with hidden 128 is larger than its teacher, which has 64"),
        (Order(layers=1, hidden=40), "--hidden 40 is no multiple of 32, the size of the teacher's heads; give 32, 64"),
        (Order(source=Path("nowhere")), "nowhere: no configuration can be read"),
    ],
)
def test_a_student_that_cannot_be_is_told_why(ignorant: Path, tmp_path: Path, order: Order, said: str) -> None:
    with pytest.raises(WordtellError) as refused:
        distill(asked(ignorant, tmp_path, order))
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_a_student_of_another_scheme_of_labels_is_told(ignorant: Path, tmp_path: Path) -> None:
    three = {0: "human", 1: "AI", 2: "both"}
    other = task.checkpoint(tmp_path / "three", id2label=three, label2id={name: i for i, name in three.items()})
    with pytest.raises(WordtellError, match="has the labels human, AI, both"):
        distill(asked(ignorant, tmp_path, Order(source=other)))


def test_an_encoder_with_too_few_rows_for_the_teachers_tokenizer_is_told(ignorant: Path, tmp_path: Path) -> None:
    small = task.checkpoint(tmp_path / "small", vocab_size=50)
    (small / "tokenizer.json").unlink()
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {"architectures": ["DebertaV2Model"]}))
    with pytest.raises(WordtellError, match="has no tokenizer and 50 rows of embeddings; the teacher's tokenizer has"):
        distill(asked(ignorant, tmp_path, Order(source=small)))


def test_texts_that_are_too_few_are_counted(ignorant: Path, tmp_path: Path) -> None:
    task.write(tmp_path / "texts.jsonl", FEW[:99] + FEW[:50], 0)
    with pytest.raises(WordtellError, match="holds 99 different texts; at least 100 are needed"):
        distill(asked(ignorant, tmp_path, Order(layers=1)))


def test_labels_of_another_scheme_are_told_by_their_line(ignorant: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"text": one.text, "labels": ["B-AI"] * len(one.labels)}) for one in FEW]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    with pytest.raises(WordtellError, match=r"texts\.jsonl, line 1: labels has to be a list of 0 \(a person\)"):
        distill(asked(ignorant, tmp_path, Order(layers=1)))


def test_another_order_does_not_go_on_with_what_is_begun(
    ignorant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(*_: Any) -> torch.Tensor:
        raise Stopped

    order = asked(ignorant, tmp_path, Order(layers=1))
    with monkeypatch.context() as patched:
        patched.setattr(learning, "_loss", stopping)
        with pytest.raises(Stopped):
            distill(order)
    with pytest.raises(WordtellError, match="was begun with another order: give the same, or start anew with --fresh"):
        distill(replace(order, order=Order(layers=2)))
    distill(replace(order, order=Order(layers=2), fresh=True))
    with pytest.raises(WordtellError, match="is there already: name another folder with --out"):
        distill(order)


def test_the_command_says_what_is_missing_in_one_line(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "bento.cli", "distill", "nowhere", "--texts", "none.jsonl", "--out", "out"]
    for more, said in (
        ([], "what is the student to be?"),
        (["--like", "huge"], "--like huge is no shape; these are: base, small, tiny"),
        (["--like", "tiny", "--layers", "2"], "give one of --like, --student, or --layers and --hidden"),
    ):
        done = subprocess.run([*arguments, *more], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_student_comes_up_to_its_teacher_where_gold_alone_does_not(tmp_path: Path) -> None:
    """Gold labels of 30 texts of 1,500, and a teacher that has seen 3,000."""
    folder = task.checkpoint(tmp_path / "begun")
    teacher = Student(reading.read(str(folder), attention=None), 1)
    known = teach(teacher, tmp_path)
    teacher.model.save_pretrained(known)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (known / name).write_bytes((folder / name).read_bytes())
    task.write(tmp_path / "texts.jsonl", task.made(1500, 7), 30)
    test = task.made(400, 8)
    truth = [label for one in test for label in one.labels]
    found = {}
    for name, soft in (("distilled", 1.0), ("gold alone", 0.0)):
        small = task.checkpoint(tmp_path / f"{name} begun", layers=1, hidden_size=32, intermediate_size=64)
        order = asked(known, tmp_path, Order(source=small, prune=True), steps=600, relation_steps=100, rate=3e-3)
        order = replace(order, out=tmp_path / name, soft=soft, relation_steps=100 if soft else 0)
        distill(order)
        found[name] = roc_auc_score(truth, np.concatenate(score(str(order.out), [one.text for one in test]).scores))
    best = roc_auc_score(truth, np.concatenate(score(str(known), [one.text for one in test]).scores))
    print(f"teacher {best:.4f}", found)
    assert found["distilled"] > best - 0.01
    assert found["gold alone"] < best - 0.02


def teach(teacher: Student, folder: Path) -> Path:
    """Train on 3,000 clean texts."""
    known = folder / "known"
    pieces = [Piece(one.text, np.array(one.labels)) for one in task.made(3000, 9)]
    made = rows(task.tokenizer(), pieces)
    plan = Plan(500, 0, rate=3e-3, each=16, check_every=100, soft=0.0)
    learn(teacher, Lessons(made[300:], made[:300], []), plan, folder, {})
    return known


def test_orders_of_a_shape_by_name() -> None:
    assert ordered(None, None, "small", None, False) == Order(6, 384)

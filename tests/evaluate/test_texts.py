"""Labelled texts: every kind of label, and one clear line for what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluate.command import evaluate
from evaluate.errors import BadLine, EmptyClass
from evaluate.texts import read_human, read_labelled

FILE = Path(__file__).parents[2] / "examples" / "mixed.jsonl"


def read(tmp_path: Path, line: object, single_spaces: bool = False) -> list[int]:
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps(line) if not isinstance(line, str) else line)
    labels: list[int] = read_labelled(path, single_spaces)[0].labels.tolist()
    return labels


@pytest.mark.parametrize(
    ("line", "single_spaces", "labels"),
    [
        ({"text": "a b  c", "labels": [0, 1, 1]}, False, [0, 1, 1]),
        ({"text": "a b  c", "labels": [0, 1, 0, 1]}, True, [0, 1, 1]),
        ({"text": "ab cd ef", "spans": [[1, 4]]}, False, [1, 1, 0]),
        ({"text": "ab cd ef", "spans": []}, False, [0, 0, 0]),
        ({"text": "a b", "label": 1}, False, [1, 1]),
        ({"text": "a b c", "boundary": 1}, False, [0, 1, 1]),
        ({"text": "a b c", "boundary": 3}, False, [0, 0, 0]),
        ({"text": "a  b c", "boundary": 3}, True, [0, 0, 1]),
    ],
)
def test_each_kind_of_label(tmp_path: Path, line: object, single_spaces: bool, labels: list[int]) -> None:
    assert read(tmp_path, line, single_spaces) == labels


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"text": "a b c", "labels": [0, 1]}, "labels has 2 values, the text has 3 words"),
        ({"text": "a", "labels": [2]}, "labels has to be a list of 0"),
        ({"text": "a"}, "has no labels: give one of labels, spans, label, boundary"),
        ({"text": "a", "label": 1, "boundary": 0}, "has label and boundary: give one of"),
        ({"labels": [1]}, "the key text is missing"),
        ({"text": " ", "label": 0}, "text is blank"),
        ({"text": "a b", "spans": [[0, 9]]}, r"spans has \[0, 9\], the text has 3 characters"),
        ({"text": "a b", "boundary": 3}, "boundary is 3: it has to be from 0 to 2"),
        ({"text": "a b", "label": "x"}, 'label is "x": it has to be 0'),
        ("{", "is not JSON"),
        ([1], "is no object"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_it(tmp_path: Path, line: object, fault: str) -> None:
    with pytest.raises(BadLine, match=rf"^texts.jsonl, line 1: .*{fault}") as caught:
        read(tmp_path, line)
    assert "\n" not in caught.value.message


def test_human_texts_are_a_persons(tmp_path: Path) -> None:
    path = tmp_path / "human.jsonl"
    path.write_text('{"text": "a b"}\n\n{"text": "c", "label": 0}\n{"text": "d e", "labels": [0, 1]}\n')
    with pytest.raises(BadLine, match=r"human.jsonl, line 4: a machine wrote of this text"):
        read_human(path)


@pytest.mark.parametrize(("label", "missing"), [(0, "a machine's"), (1, "a person's")])
def test_an_empty_class_is_named(tmp_path: Path, label: int, missing: str) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"text": "a b", "label": label}))
    with pytest.raises(EmptyClass, match=missing):
        evaluate(path, "models/none", None, None, False, None)


def test_the_example_has_both_classes() -> None:
    texts = read_labelled(FILE)
    assert len(texts) == 40
    assert {text.human for text in texts} == {True, False}

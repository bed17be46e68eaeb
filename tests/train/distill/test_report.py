"""Which model to serve: the more accurate one in time, the faster one where nothing tells them apart."""

from __future__ import annotations

import pytest

from evaluate.figures import Interval
from train.distill.report import AUC, REQUEST_WORDS, Served, advise

TEACHER, STUDENT = Served("teacher", 400, REQUEST_WORDS / 4), Served("student", 40, REQUEST_WORDS / 1)


@pytest.mark.parametrize(
    ("difference", "limit", "said"),
    [
        ((-0.03, -0.04, -0.02), None, "serve the teacher: both do 42,000 words, and its word ROC-AUC is the higher"),
        ((-0.03, -0.04, -0.02), 2.0, "serve the student, the only one that does 42,000 words within 2 s (1.00 s)"),
        ((-0.01, -0.02, 0.01), 9.0, "serve the student: the texts do not tell their word ROC-AUC apart"),
        ((0.03, 0.01, 0.05), 9.0, "serve the student: both do 42,000 words within 9 s, and its word ROC-AUC"),
        ((-0.03, -0.04, -0.02), 0.5, "neither keeps 0.5 s for 42,000 words; the student takes 1.00 s"),
        (None, None, "serve the student: no labels tell them apart"),
    ],
)
def test_the_advice(difference: tuple[float, float, float] | None, limit: float | None, said: str) -> None:
    columns = {} if difference is None else {"difference": {AUC: Interval(*difference)}}
    assert said in advise([TEACHER, STUDENT], columns, limit)

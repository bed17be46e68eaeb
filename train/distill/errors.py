"""Errors of a distillation.

DistillError
├── TooFewTexts     too few texts to choose the best step and to judge the student
├── UnfitStudent    the student is not a smaller model of the teacher's kind
└── OtherRun        the files of an interrupted run belong to other options
"""

from __future__ import annotations

from pathlib import Path

from bento.errors import WordtellError


class DistillError(WordtellError, ValueError):
    """A distillation cannot run. The message names the thing at fault and the remedy."""


class TooFewTexts(DistillError):
    """There are too few texts: a tenth of them chooses the best step, and a tenth judges the student."""

    def __init__(self, found: int, needed: int) -> None:
        super().__init__(
            f"--texts holds {found} different texts; at least {needed} are needed, a tenth of them to choose by and a"
            " tenth to judge by (thousands make a good student): give more texts like those that will be scored"
        )


class UnfitStudent(DistillError):
    """The student cannot be made."""

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(f"{fault}; {remedy}")


class OtherRun(DistillError):
    """The work folder was begun with another teacher, other texts or other settings."""

    def __init__(self, folder: Path, differing: str) -> None:
        super().__init__(f"{folder} was begun with another {differing}: give the same, or start anew with --fresh")

"""What is wrong with an order to distil.

DistillError
├── TooFewTexts     nothing would be left to choose and to judge by
├── UnfitStudent    the student is no smaller model of the teacher's kind
└── OtherRun        what an interrupted run left belongs to another order
"""

from __future__ import annotations

from pathlib import Path

from bento.errors import WordtellError


class DistillError(WordtellError, ValueError):
    """The message names the thing at fault and the remedy."""


class TooFewTexts(DistillError):
    """Fewer texts than a tenth of which chooses and a tenth judges."""

    def __init__(self, found: int, needed: int) -> None:
        super().__init__(
            f"--texts holds {found} different texts; at least {needed} are needed, a tenth of them to choose by and a"
            " tenth to judge by (thousands make a good student): give more texts like those that will be scored"
        )


class UnfitStudent(DistillError):
    """The student that is asked for cannot be made."""

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(f"{fault}; {remedy}")


class OtherRun(DistillError):
    """The work folder was begun with another teacher, other texts or other settings."""

    def __init__(self, folder: Path, differing: str) -> None:
        super().__init__(f"{folder} was begun with another {differing}: give the same, or start anew with --fresh")

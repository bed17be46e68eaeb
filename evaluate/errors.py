"""Errors in the texts for evaluation and calibration.

EvaluateError
├── BadLine       a line of the file is not what it should be
├── EmptyClass    all words are of one class, so nothing tells them apart
└── TooFewTexts   not enough human texts for the rate
"""

from __future__ import annotations

from bento.errors import WordtellError


class EvaluateError(WordtellError, ValueError):
    """The message names the file and the remedy."""


class BadLine(EvaluateError):
    """A line of a file of texts."""

    def __init__(self, file: str, line: int, fault: str) -> None:
        super().__init__(f"{file}, line {line}: {fault}", f"line {line}")


class EmptyClass(EvaluateError):
    """Only a person's words, or only a machine's."""

    def __init__(self, file: str, missing: str, texts: int) -> None:
        super().__init__(
            f"{file}: none of the words of its {texts} texts is {missing}'s: give texts of both, since the figures tell"
            " how well the two are kept apart"
        )


class TooFewTexts(EvaluateError):
    """No group of length has enough texts."""

    def __init__(self, file: str, rate: float, needed: int, found: str) -> None:
        super().__init__(
            f"{file}: a rate of {rate:g} needs {needed} human texts of one group of length; it has {found} words:"
            " give more texts, or ask for a higher --rate"
        )

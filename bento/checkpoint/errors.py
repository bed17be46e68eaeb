"""What is wrong with a checkpoint. exit_code: of the command that was to convert it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bento.errors import WordtellError


class CheckpointError(WordtellError, ValueError):
    """The checkpoint cannot be read as a token classifier. The message names the fault and the remedy."""

    code = "checkpoint"
    exit_code: ClassVar[int] = 2

    def __init__(self, source: str | Path, fault: str, remedy: str) -> None:
        super().__init__(f"{source}: {fault}; {remedy}")


class LabelError(WordtellError, ValueError):
    """The positive labels are not known, or not labels of the model.

    telling: those that say by their names that a machine wrote the word. unknown: asked for, but not there.
    every: all were asked for. independent: several, of a model with a sigmoid for each.
    """

    code = "label"
    exit_code: ClassVar[int] = 2

    def __init__(
        self,
        labels: Sequence[str],
        telling: Sequence[str] = (),
        *,
        unknown: Sequence[str] = (),
        every: bool = False,
        independent: Sequence[str] = (),
    ) -> None:
        remedy = "give --positive-label one of"
        if independent:
            fault = f"the labels {', '.join(independent)} have a sigmoid each, so their probabilities do not add up"
            remedy = "give one --positive-label of"
        elif unknown:
            fault = f"there is no label {', '.join(map(repr, unknown))}"
        elif every:
            fault = "with every label positive the probability of each word is 1"
        elif telling:
            fault = f"several labels say by their names that a machine wrote the word ({', '.join(telling)})"
        else:
            fault = "no label says by its name that a machine wrote the word"
        self.fault, self.labels = fault, tuple(labels)
        super().__init__(f"{fault}; {remedy}: {', '.join(labels)}")

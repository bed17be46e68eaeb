"""The seam between wordtell and an inference engine: one value in, one array out."""

from __future__ import annotations

from typing import Protocol

from bento.types import FloatArray, MicroBatch


class Runner(Protocol):
    """Runs the model. Several lanes call `run` at the same time."""

    @property
    def engine(self) -> str:
        """The engine's name, as responses show it."""
        ...

    def run(self, batch: MicroBatch) -> FloatArray:
        """Logits [rows, length, labels]. Rows do not influence each other beyond rounding."""
        ...

"""The seam between wordtell and an inference engine: windows in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

from bento.types import FloatArray, IntArray


class Batching(Enum):
    """How several windows may share a run without changing each other's numbers.

    SINGLE: not at all; all tokens of a run have something in common, as in INT8 with one activation scale a tensor.
    PADDED: as rows of a batch, the shorter ones padded.
    PACKED: one after another, without padding.
    """

    SINGLE = auto()
    PADDED = auto()
    PACKED = auto()


class Runner(Protocol):
    """Runs the model. Several lanes call `run` at the same time."""

    @property
    def engine(self) -> str:
        """The engine's name, as responses show it."""
        ...

    @property
    def variant(self) -> str:
        """What of engine and processor changes scores, for the model's version: "fused.avx512vnni"."""
        ...

    @property
    def batching(self) -> Batching:
        """What `run` does with several windows."""
        ...

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        """Logits [length, labels] of each window, given its token ids [length], special tokens included.

        Windows do not influence each other beyond rounding. `wide`: nothing else is running, so this run may use the
        threads of every lane; a runner that cannot ignores it.
        """
        ...

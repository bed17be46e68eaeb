"""The interface to an inference engine: windows in, logits out, and a description of what the engine can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from bento.types import FloatArray, IntArray


class Batching(Enum):
    """How several windows may share a run without changing each other's numbers.

    SINGLE: one window a run, because all tokens of a run affect each other, as in INT8 with one activation scale a
    tensor.
    PADDED: as rows of a batch, the shorter ones padded.
    PACKED: one after another, without padding.
    """

    SINGLE = auto()
    PADDED = auto()
    PACKED = auto()


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What an engine can do. The scheduler reads this and nothing else of an engine.

    engine: its name, as responses show it. device: where it computes, "cpu" or "cuda:0".
    variant: everything about engine and processor that changes scores, for the model version: "fused.avx512vnni".
    lanes: how many threads may call `run` at the same time.
    run_tokens: tokens that one run should have, padding included, for a GPU; None: at most those of the longest window,
    and as many windows as the measured speeds suggest.
    most_padding: the largest share of a padded run's positions that may be padding.
    shapes: (windows, tokens of each) that are to be run before the first request, because the first run is slow.
    """

    engine: str
    variant: str
    batching: Batching
    device: str = "cpu"
    lanes: int = 1
    run_tokens: int | None = None
    most_padding: float = 0.2
    shapes: tuple[tuple[int, int], ...] = ()


class Runner(Protocol):
    """Runs the model. Several lanes call `run` at the same time."""

    @property
    def abilities(self) -> Abilities:
        """What it can do."""
        ...

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        """Logits [length, labels] of each window, given its token ids [length], special tokens included.

        Windows do not influence each other beyond rounding. `wide`: nothing else is running, so this run may use the
        threads of every lane; a runner that cannot ignores it.
        """
        ...

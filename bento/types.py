"""The frozen values that modules pass to each other. Their arrays are not written to after they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
# How the tokens of a word make its score.
WordScore = Literal["mean", "first", "max"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """One text as tokens, special tokens not among them.

    ids: [tokens], vocabulary ids.
    offsets: [tokens, 2], each token's first character and the one after its last, in the text's own characters.
    """

    ids: IntArray
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Window:
    """The tokens `start <= i < stop` of an encoding, which the model sees together."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

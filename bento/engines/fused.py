"""The fused graph: windows one after another without padding, attention and INT8 products in operators of our own."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bento import memory
from bento.artifact import EXTERNAL_DATA
from bento.cpu import Plan
from bento.engines import Abilities, Batching
from bento.engines.onnx import OUTPUT, session
from bento.errors import ArtifactError, ConfigError
from bento.native import LIBRARY
from bento.sources import ISA_VARIABLE
from bento.types import FloatArray, IntArray

INPUTS = ("input_ids", "boundaries")

logger = logging.getLogger("wordtell")


class FusedRunner:
    """A session for the lanes, and one that uses all their threads for a lone run; they share the packed weights."""

    def __init__(self, graph: Path, plan: Plan, library: Path = LIBRARY) -> None:
        """Load a fused graph. Raises ArtifactError when it or the library of its operators is not usable."""
        self.instruction_set = _instruction_set(library)
        self.abilities = Abilities(
            engine="onnxruntime+wordtell",
            variant=f"fused.{self.instruction_set}",
            batching=Batching.PACKED,
            lanes=plan.lanes,
        )
        self._narrow = self._wide = session(graph, INPUTS, plan.threads_per_lane, library)
        if plan.lanes > 1:
            # It runs alone: sleeping between two operators would make a lone short text a sixth slower.
            self._wide = session(graph, INPUTS, plan.lanes * plan.threads_per_lane, library, spinning=True)
        # The operators have the weights in their own order, so the file's pages, which each session mapped and read,
        # can go.
        memory.release(graph.parent / EXTERNAL_DATA)

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        """See Runner."""
        boundaries = np.cumsum([0, *map(len, windows)])
        feeds = dict(zip(INPUTS, (np.concatenate(windows), boundaries), strict=True))
        logits: FloatArray = (self._wide if wide else self._narrow).run([OUTPUT], feeds)[0]
        return np.split(logits, boundaries[1:-1])


def _instruction_set(library: Path) -> str:
    """Which the operators chose.

    Raises ArtifactError when the library is not one of this version, ConfigError when WORDTELL_ISA names none.
    """
    try:
        operators = ctypes.CDLL(str(library))
        functions = operators.wordtell_isa, operators.wordtell_isa_error, operators.wordtell_isa_refused
    except (OSError, AttributeError) as error:
        raise ArtifactError(library, f"cannot be used ({error})", "build it again with `make native`") from None
    for function in functions:
        function.restype = ctypes.c_char_p
    chosen, mistake, refused = (function() for function in functions)
    if chosen is None:
        raise ConfigError(mistake.decode(), ISA_VARIABLE)
    if refused:
        logger.warning("the fused operators run slower than this processor could, because %s", refused.decode())
    return str(chosen.decode())

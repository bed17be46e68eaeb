"""The fused graph: windows one after another without padding, attention and INT8 products in operators of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from bento.artifact import ModelFolder
from bento.errors import ArtifactError
from bento.native import LIBRARY
from bento.runners import Batching
from bento.runners.onnx import OUTPUT, session
from bento.types import FloatArray, IntArray

INPUTS = ("input_ids", "boundaries")


class FusedRunner:
    """A session for the lanes, and one that uses all their threads for a lone run; they share the packed weights."""

    engine = "onnxruntime+wordtell"
    batching = Batching.PACKED

    def __init__(self, folder: ModelFolder, threads: int, wide_threads: int, library: Path = LIBRARY) -> None:
        """Load the fused graph. Raises ArtifactError when it or the library of its operators is not usable."""
        if folder.fused is None:
            raise ArtifactError(folder.path, "has no fused graph", "make one with `make convert`")
        self._narrow = self._session(folder.fused, threads, library)
        self._wide = self._session(folder.fused, wide_threads, library) if wide_threads > threads else self._narrow

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        """See Runner."""
        boundaries = np.cumsum([0, *map(len, windows)])
        chosen = self._wide if wide else self._narrow
        feeds = dict(zip(INPUTS, (np.concatenate(windows), boundaries), strict=True))
        logits: FloatArray = chosen.run([OUTPUT], feeds)[0]
        return np.split(logits, boundaries[1:-1])

    @staticmethod
    def _session(graph: Path, threads: int, library: Path) -> ort.InferenceSession:
        return session(graph, INPUTS, threads, library)

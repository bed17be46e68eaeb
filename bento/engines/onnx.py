"""ONNX Runtime on the CPU, standard operators only: one session, called by all lanes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from bento import cpu
from bento.artifact import ModelFolder
from bento.engines import Abilities, Batching
from bento.engines.saturation import REMEDIED, remedied, saturates
from bento.errors import ArtifactError
from bento.types import FloatArray, IntArray

logger = logging.getLogger("wordtell")
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"


class OnnxRunner:
    """A session whose weights all lanes share. Each call computes on its caller's thread and `threads - 1` more."""

    def __init__(self, folder: ModelFolder, threads: int, lanes: int = 1) -> None:
        """Load the portable graph. Raises ArtifactError when ONNX Runtime refuses it or its inputs are not ours."""
        self.abilities = Abilities(
            engine="onnxruntime",
            variant=f"portable.{cpu.instruction_set()}",
            batching=Batching.SINGLE if folder.manifest.precision == "int8" else Batching.PADDED,
            lanes=lanes,
        )
        if folder.manifest.precision == "int8" and saturates() and not remedied():
            logger.warning(
                "scores are slightly wrong: INT8 products saturate on this processor, and onnxruntime %s cannot prevent"
                " it; use onnxruntime %d.%d or newer (Python 3.11 or newer), or an FP32 model",
                ort.__version__,
                *REMEDIED,
            )
        self._session = session(folder.model, INPUTS, threads)

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        """See Runner."""
        shape = len(windows), max(map(len, windows))
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, window in enumerate(windows):
            ids[row, : len(window)], mask[row, : len(window)] = window, 1
        logits: FloatArray = self._session.run([OUTPUT], dict(zip(INPUTS, (ids, mask), strict=True)))[0]
        return [logits[row, : len(window)] for row, window in enumerate(windows)]


def session(
    graph: Path, inputs: Sequence[str], threads: int, operators: Path | None = None, spinning: bool = False
) -> ort.InferenceSession:
    """Load a graph that has these inputs.

    operators: the library of its own ones. spinning: its threads wait for the next operator on their cores, for as long
    as a run lasts. Raises ArtifactError.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning worker would take the core of another lane, or of whoever comes between two runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if saturates() and remedied():
        # Turns s8 weights to u8 while the graph is loaded: exact, and slower, so it is not set on processors with VNNI.
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    try:
        if operators is not None:
            options.register_custom_ops_library(str(operators))
        # ONNX Runtime's fused SkipLayerNormalization takes four times as long as the Add and LayerNormalization in it.
        loaded = ort.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
        )
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        reason = str(error).strip().splitlines()[0]
        raise ArtifactError(graph, f"ONNX Runtime cannot load it ({reason})") from None
    found = [item.name for item in loaded.get_inputs()], [item.name for item in loaded.get_outputs()]
    if set(found[0]) != set(inputs) or OUTPUT not in found[1]:
        fault = f"has inputs {found[0]} and outputs {found[1]}, not {list(inputs)} and {OUTPUT!r}"
        raise ArtifactError(graph, fault)
    return loaded

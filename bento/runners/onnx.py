"""ONNX Runtime on the CPU: one session, called by all lanes."""

from __future__ import annotations

from typing import cast

import onnxruntime as ort

from bento.artifact import ModelFolder
from bento.errors import ArtifactError
from bento.types import FloatArray, MicroBatch

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"


class OnnxRunner:
    """A session whose weights all lanes share. Each call computes on its caller's thread and `threads - 1` more."""

    engine = "onnxruntime"

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        """Load the graph. Raises ArtifactError when ONNX Runtime refuses it or its inputs are not ours."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning worker would steal the core of the lane beside it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(folder.model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            reason = str(error).strip().splitlines()[0]
            raise ArtifactError(folder.model, f"ONNX Runtime cannot load it ({reason})") from None
        inputs = tuple(item.name for item in self._session.get_inputs())
        outputs = [item.name for item in self._session.get_outputs()]
        if set(inputs) != set(INPUTS) or OUTPUT not in outputs:
            fault = f"has inputs {inputs} and outputs {outputs}, not {INPUTS} and {OUTPUT!r}"
            raise ArtifactError(folder.model, fault)

    def run(self, batch: MicroBatch) -> FloatArray:
        """See Runner."""
        feeds = dict(zip(INPUTS, (batch.input_ids, batch.attention_mask), strict=True))
        return cast(FloatArray, self._session.run([OUTPUT], feeds)[0])

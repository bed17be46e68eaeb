"""MLServer around the session, as a runtime of our own: its Hugging Face runtime loads checkpoints of transformers,
and a model folder of ONNX graph and tokenizer is none.

`python -m benchmarks.peers.mlserver_runtime port folder` writes the settings that it wants into `folder`, and serves.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.session import Session


class Scores(MLModel):
    """POST /v2/models/scores/infer, one BYTES input: a text an element; the answer: a text's scores an element."""

    async def load(self) -> bool:
        """Load the model."""
        self._session = Session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Several requests may have been merged into one."""
        texts = StringCodec.decode_input(payload.inputs[0])
        answers = [json.dumps(scores) for scores in self._session.score(texts)]
        output = StringCodec.encode_output("scores", answers)
        return InferenceResponse(model_name=self.name, outputs=[output])


if __name__ == "__main__":
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": int(sys.argv[3]),
        "metrics_port": int(sys.argv[4]),
    }
    settings |= {"parallel_workers": 0, "metrics_endpoint": None}
    model: dict[str, Any] = {"name": "scores", "implementation": "benchmarks.peers.mlserver_runtime.Scores"}
    model |= {"max_batch_size": 120, "max_batch_time": 0.005}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    start = "from mlserver.cli import main; main()"  # the package cannot be run with -m
    os.execv(sys.executable, [sys.executable, "-c", start, "start", str(folder)])  # noqa: S606

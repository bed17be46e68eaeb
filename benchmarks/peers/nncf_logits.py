"""OpenVINO INT8 as NNCF makes it, calibrated on real texts: `python -m benchmarks.peers.nncf_logits model.onnx`.

The first line of stdin is a JSON list of the ids of each calibration text; every further line is the ids of one text,
answered by a line with its logits.
"""

from __future__ import annotations

import json
import sys

import nncf
import numpy as np
import openvino

if __name__ == "__main__":
    texts = json.loads(sys.stdin.readline())
    feeds = [{"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)} for ids in texts]
    int8 = nncf.quantize(
        openvino.Core().read_model(sys.argv[1]),
        nncf.Dataset(feeds),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(feeds),
    )
    compiled = openvino.compile_model(int8, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    print("ready", flush=True)
    for line in sys.stdin:
        ids = np.array([json.loads(line)])
        logits = compiled({"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        print("logits", json.dumps(logits[0].tolist()), flush=True)

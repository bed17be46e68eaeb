"""An ONNX graph -> OpenVINO INT8, weights and activations: `python -m benchmarks.peers.nncf_int8 in out vocabulary`."""

from __future__ import annotations

import sys

import nncf
import numpy as np
import openvino

if __name__ == "__main__":
    source, target, vocabulary = sys.argv[1:]
    random = np.random.default_rng(1)
    texts = [random.integers(5, int(vocabulary), (1, 128)) for _ in range(8)]
    feeds = [{"input_ids": ids, "attention_mask": np.ones_like(ids)} for ids in texts]
    int8 = nncf.quantize(
        openvino.Core().read_model(source),
        nncf.Dataset(feeds),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(feeds),
    )
    openvino.save_model(int8, target, compress_to_fp16=False)

"""The embedded model as the peer servers hold it: one ONNX Runtime session, texts padded in batches of at most 32."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
import tokenizers

MOST = 32


class Session:
    """Text -> one probability a token. Only what any server would do: tokenise, pad, run, softmax."""

    def __init__(self) -> None:
        folder = Path(os.environ["BENCHMARK_MODEL"])
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(512)
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ["BENCHMARK_CORES"])
        self._session = ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

    def score(self, texts: list[str]) -> list[list[float]]:
        """Probabilities of each text's tokens."""
        return [row for start in range(0, len(texts), MOST) for row in self._run(texts[start : start + MOST])]

    def _run(self, texts: list[str]) -> list[list[float]]:
        encodings = self._tokenizer.encode_batch(texts)
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(texts), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)], mask[row, : len(encoding.ids)] = encoding.ids, 1
        (logits,) = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        scores = (powers[..., -1] / powers.sum(-1)).round(4)
        return [row[: len(encoding.ids)].tolist() for row, encoding in zip(scores, encodings, strict=True)]

"""Stand-ins that are small enough to know every answer of."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from bento.artifact import MANIFEST, MODEL, TOKENIZER, FileRecord, Manifest, ModelFolder
from bento.engines import Abilities, Batching
from bento.types import FloatArray, IntArray

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]


def logit(token: int) -> float:
    """The positive class's logit of a token in the fake model; the other class's is 0."""
    return (token * 37 % 101 - 50) / 25


def tokenizer() -> Tokenizer:
    """A SentencePiece-like Unigram tokenizer with a token for each letter and a few longer ones."""
    pieces = [(token, 0.0) for token in SPECIAL]
    pieces += [(piece, -3.0) for piece in ("▁", "▁the", "ing", "ment")]
    pieces += [(letter, -6.0) for letter in LETTERS + LETTERS.upper() + ".,'-"]
    fast = Tokenizer(models.Unigram(pieces, unk_id=3))
    fast.normalizer = normalizers.NFKC()
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return fast


def model_bytes(vocabulary: int) -> bytes:
    """An ONNX graph whose logits are a table of `logit`, looked up by token."""
    table = np.array([[0.0, logit(token)] for token in range(vocabulary)], dtype=np.float32)
    mask = helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["looked_up"]),
            mask,
            helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
            helper.make_node("Mul", ["looked_up", "column"], ["logits"]),
        ],
        "lookup",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", 2])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([-1]), "last")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_folder(path: Path, max_tokens: int = 64) -> ModelFolder:
    """A whole model folder around the fake graph."""
    path.mkdir(parents=True, exist_ok=True)
    fast = tokenizer()
    fast.save(str(path / TOKENIZER))
    (path / MODEL).write_bytes(model_bytes(fast.get_vocab_size()))
    return write_manifest(path, max_tokens=max_tokens)


def write_manifest(path: Path, *, max_tokens: int = 64, positive_label: str = "machine") -> ModelFolder:
    """The manifest that fits the files as they are."""
    manifest = Manifest(
        name="fake",
        architecture="lookup",
        precision="fp32",
        labels=("human", "machine"),
        positive_label=positive_label,
        max_tokens=max_tokens,
        files={name: FileRecord.of(path / name) for name in (MODEL, TOKENIZER)},
    )
    (path / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return ModelFolder(path, manifest)


def can(batching: Batching = Batching.SINGLE, lanes: int = 1) -> Abilities:
    """Of an engine that nobody else has."""
    return Abilities(engine="lookup", variant="lookup", batching=batching, lanes=lanes)


class LookupRunner:
    """The fake graph without ONNX Runtime; can be held, and fails on the tokens it is told to."""

    def __init__(self, poison: int | None = None, batching: Batching = Batching.SINGLE, lanes: int = 1) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.abilities = can(batching, lanes)
        self.batches: list[list[IntArray]] = []
        self.wide: list[bool] = []
        self._poison = poison

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        self.batches.append(list(windows))
        self.wide.append(wide)
        self.gate.wait()
        if any(self._poison in window for window in windows):
            raise RuntimeError("poison")
        return [np.array([[0.0, logit(int(token))] for token in window], dtype=np.float32) for window in windows]

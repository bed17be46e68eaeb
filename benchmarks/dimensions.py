"""Models of published encoders' true dimensions with random weights (seeded), in the form that each engine takes.

Everything is kept below build/benchmarks/, in folders named by the content of what makes it: the configuration, this
file, `convert`, and the versions of the packages.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import BUILD
from bento import artifact
from bento.settings import ROOT
from convert.dimensions import PUBLISHED, Dimensions

_OTHERS = ("bert-base", "roberta-base", "xlm-roberta-base", "modernbert-base", "distilbert")
# DeBERTa-v3's by their sizes; "tiny" is not a published model.
DIMENSIONS = {
    "tiny": Dimensions(2, 64, 2, 256, 8000),
    **{size: PUBLISHED[f"deberta-v3-{size}"] for size in ("small", "base", "large")},
    **{name: PUBLISHED[name] for name in _OTHERS},
}


def checkpoint(name: str) -> Path:
    """The folder of the checkpoint. Made in a process of its own, whose memory is not the benchmark's."""
    return _made(name, "checkpoint", "dimensions._save_checkpoint")


def stock(name: str) -> Path:
    """The stock module through torch's exporter: an ONNX graph in FP32."""
    return _made(name, "stock", "dimensions._save_stock") / "model.onnx"


def classic(name: str) -> Path:
    """The classic recipe: ONNX Runtime's quantize_dynamic of the stock export."""
    return _made(name, "classic", "dimensions._save_classic") / "model.onnx"


def wordtell(name: str) -> Path:
    """The model folder that `python -m convert` makes. The limit of flips is lifted: random weights have no margin."""
    return _made(name, "wordtell", "dimensions._save_wordtell") / "model"


def openvino(name: str) -> Path:
    """NNCF's post-training INT8 (weights and activations) of the stock export."""
    out = folder(name) / "openvino-int8"
    if not (out / "done").exists():
        out.mkdir(parents=True, exist_ok=True)
        command = [str(harness.environment("openvino")), "-m", "benchmarks.peers.nncf_int8"]
        given = [str(stock(name)), str(out / "model.xml"), str(DIMENSIONS[name].vocabulary)]
        subprocess.run([*command, *given], cwd=ROOT, check=True, capture_output=True, text=True)
        (out / "done").touch()
    return out / "model.xml"


def folder(name: str) -> Path:
    """Where everything made of these dimensions lies."""
    digest = hashlib.sha256(json.dumps(DIMENSIONS[name].config()).encode())
    for path in (Path(__file__), *sorted((ROOT / "convert").rglob("*.py"))):
        digest.update(path.read_bytes())
    digest.update(json.dumps(harness.versions("torch", "transformers", "onnxruntime")).encode())
    return BUILD / f"{name}-{digest.hexdigest()[:8]}"


def _made(name: str, part: str, maker: str) -> Path:
    out = folder(name) / part
    if not (out / "done").exists():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        command = f"import sys; from pathlib import Path; from benchmarks import dimensions; {maker}(sys.argv[1], "
        subprocess.run([sys.executable, "-c", f"{command}Path(sys.argv[2]))", name, str(out)], cwd=ROOT, check=True)
        (out / "done").touch()
    return out


def _save_checkpoint(name: str, out: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**DIMENSIONS[name].config())
    classes: Any = transformers.AutoModelForTokenClassification
    classes.from_config(config).save_pretrained(out)
    # The embedded model's: about as many tokens a word of English as DeBERTa-v3's own has, and smaller than any of the
    # vocabularies. How long the texts are is set by `tokens`.
    shutil.copy(ROOT / "models" / "wordtell-small" / "tokenizer.json", out)


def _save_stock(name: str, out: Path) -> None:
    import transformers

    from benchmarks.stock import trace
    from convert import export

    model = transformers.AutoModelForTokenClassification.from_pretrained(
        checkpoint(name), attn_implementation="eager"
    ).eval()
    export.save({artifact.MODEL: trace(model)}, out, export.SINGLE_FILE_BYTES)


def _save_classic(name: str, out: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.ERROR)  # it would have the model preprocessed, which changes nothing here
    quantize_dynamic(
        stock(name),
        out / "model.onnx",
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
        extra_options={"MatMulConstBOnly": True},
    )


def _save_wordtell(name: str, out: Path) -> None:
    from bento.checkpoint import reading
    from convert import random_weights

    read = reading.read(str(checkpoint(name)))
    random_weights.fill(out / "model", read, name, read.labels, read.max_tokens(None))


# Measured with the vocabulary of DeBERTa-v3: tokens of English texts of so many words, special tokens included.
TOKENS = {350: 455, 50: 66, 20: 28}


def tokens(words: int) -> int:
    """Tokens of a text of so many words."""
    return TOKENS.get(words, round(1.294 * words) + 2)


@dataclass(frozen=True)
class TextSet:
    """A set of texts, by their words; of how many texts it stands for, and the fewest to time."""

    words: tuple[int, ...]
    stands_for: int
    fewest: int

    def timed(self, batch: int) -> tuple[int, ...]:
        """The words of the texts to time with an engine that pads `batch` texts: at least one full batch."""
        return self.words[: max(self.fewest, min(batch, len(self.words)))]


def text_sets() -> dict[str, TextSet]:
    """Every set by name. The mixed one is shuffled with a fixed seed, from one word to the API's limit."""
    mixed = np.random.default_rng(0).integers(1, 351, 32)
    return {
        "120 x 350 words": TextSet((350,) * 32, 120, 8),
        "120 x 50 words": TextSet((50,) * 32, 120, 32),
        "120 of 1 to 350 words": TextSet(tuple(map(int, mixed)), 120, 32),
        "1 x 20 words": TextSet((20,), 1, 1),
    }

"""How far is INT8 from FP32 on real trained weights, over words that were not used for calibration?

Fine-tunes the packaged MiniLM (benchmarks/minilm.py; minutes, once), converts it with `python -m convert --precision
int8`, and scores introductions of Wikipedia articles: a kind of prose that neither the training, nor the calibration,
nor the packaged verification has. Beside our two graphs stand ONNX Runtime's quantize_dynamic and OpenVINO's INT8 of
NNCF, calibrated on the same texts as ours. Peers run one window at a time, which favours those with one scale a tensor.
Prints the result, and writes it to benchmarks/results/real-weights.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks import harness, minilm
from bento.artifact import MODEL
from bento.checkpoint import reading as checkpoint
from bento.native import LIBRARY
from bento.settings import ROOT
from convert import export, report, texts, verify
from convert.figures import MARGIN, upper_bound
from convert.texts import Asked, Text
from train.command import run
from train.teacher import PACKAGE
from train.wikipedia import introductions

THRESHOLD = 0.5
WORDS = (20, 50, 120, 350)
CALIBRATION_TEXTS = 60
# What is promised of INT8 as it is served.
MEAN_DP, FLIPS = 0.005, 0.005

Logits = Callable[[list[int]], Any]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=12_000, help="at least so many")
    parser.add_argument("--steps", type=int, default=minilm.STEPS, help="of fine-tuning")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    source = minilm.checkpoint(options.steps)
    out = source / "wordtell"
    command = [sys.executable, "-m", "convert", str(source), "--out", str(out), "--precision", "int8"]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    said = printed.replace(f"{ROOT}/", "")
    told = json.loads((out / report.JSON).read_text(encoding="utf-8"))["variants"]["int8"]
    result = measure(source, out, unseen(options.words))
    served = result["wordtell fused" if "wordtell fused" in result else "wordtell portable"]
    bound = told.get("fused", told["figures"])["mean_dp_bound"]
    harness.write(
        "real-weights",
        {
            "question": "distance of INT8 from FP32, over words that nobody calibrated on",
            "weights": f"{PACKAGE}, fine-tuned for {options.steps} steps on the corpus of train/",
            "conversion": {"said": said.strip().splitlines(), **told},
            "engines": result,
            "holds": {
                "mean_dp": served["mean_dp"] <= MEAN_DP,
                "flips": served["flips"] <= FLIPS,
                "the conversion's bound": served["mean_dp"] <= bound,
            },
            "versions": harness.versions("torch", "transformers", "onnxruntime"),
        },
        options.results,
    )


def unseen(least: int) -> tuple[Text, ...]:
    """Passages of introductions, of WORDS words in turn, with at least so many words together, if there are."""
    found: list[Text] = []
    count = 0
    for document in introductions():
        words = document.text.split()
        while words and count < least:
            length = WORDS[len(found) % len(WORDS)]
            passage, words = words[:length], words[length:]
            found.append(Text(" ".join(passage)))
            count += len(passage)
    return tuple(found)


def measure(source: Path, out: Path, asked: tuple[Text, ...]) -> dict[str, dict[str, float]]:
    """Of each engine, how far its words are from PyTorch's in FP32."""
    read = checkpoint.read(str(source))
    exact = verify.reference(out, read.model, asked, lambda: None)
    found = {"wordtell portable": _ours(out, exact, fused=False)}
    if LIBRARY.exists():
        found["wordtell fused"] = _ours(out, exact, fused=True)
    stock = source / "stock"
    if not (stock / MODEL).exists():
        shutil.rmtree(stock, ignore_errors=True)
        stock.mkdir()
        _save_stock(source, stock)
    with classic(stock / MODEL) as logits:
        found["onnxruntime INT8, quantize_dynamic"] = _peer(out, exact, logits)
    calibration = [read.encode(text)[:512] for text in texts.calibration(CALIBRATION_TEXTS)]
    with nncf(stock / MODEL, calibration) as logits:
        found["openvino INT8, NNCF"] = _peer(out, exact, logits)
    return found


@contextmanager
def classic(model: Path) -> Iterator[Logits]:
    """ONNX Runtime's recipe: ids of a text -> logits [tokens, labels]."""
    import onnxruntime as ort
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.ERROR)  # it would have the model preprocessed, which changes nothing here
    int8 = model.parent / "classic.onnx"
    extra = {"MatMulConstBOnly": True}
    quantize_dynamic(model, int8, per_channel=True, weight_type=QuantType.QInt8, extra_options=extra)
    logging.disable(logging.NOTSET)
    session = ort.InferenceSession(int8, providers=["CPUExecutionProvider"])

    def logits(ids: list[int]) -> Any:
        row = np.array([ids])
        return session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]

    yield logits


@contextmanager
def nncf(model: Path, calibration: list[list[int]]) -> Iterator[Logits]:
    """NNCF's post-training INT8 in OpenVINO, in a process of its own environment."""
    command = [str(harness.environment("openvino")), "-m", "benchmarks.peers.nncf_logits", str(model)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        given: Any = process.stdin
        taken: Any = process.stdout

        def ask(question: Any, mark: str) -> str:
            line: str
            print(json.dumps(question), file=given, flush=True)
            for line in taken:  # NNCF prints, too
                if line.startswith(mark):
                    return line.removeprefix(mark)
            raise RuntimeError(f"OpenVINO's process ended with exit code {process.wait()}")

        try:
            ask(calibration, "ready")
            yield lambda ids: json.loads(ask(ids, "logits"))
        finally:
            given.close()


def _save_stock(source: Path, out: Path) -> None:
    import transformers

    from benchmarks.stock import trace

    model = transformers.AutoModelForTokenClassification.from_pretrained(source, attn_implementation="eager").eval()
    export.save({MODEL: trace(model)}, out, export.SINGLE_FILE_BYTES)


def _ours(folder: Path, exact: verify.Reference, fused: bool) -> dict[str, float]:
    found = verify.measure(folder, Asked(exact.texts, 1), fused=fused)
    return _figures(exact, [np.asarray(values) for values in found.probabilities])


def _peer(folder: Path, exact: verify.Reference, logits: Logits) -> dict[str, float]:
    def model(ids: torch.Tensor) -> Any:
        return SimpleNamespace(logits=torch.tensor(np.asarray(logits(ids[0].tolist()), np.float32))[None])

    return _figures(exact, list(verify.reference(folder, model, exact.texts, lambda: None).probabilities))


def _figures(exact: verify.Reference, found: list[Any]) -> dict[str, float]:
    words = np.array([len(values) for values in exact.probabilities])
    theirs, ours = exact.flat, np.concatenate(found)
    gap, flipped = np.abs(theirs - ours), (theirs >= THRESHOLD) != (ours >= THRESHOLD)
    clear = flipped & (np.maximum(np.abs(theirs - THRESHOLD), np.abs(ours - THRESHOLD)) >= MARGIN)
    totals = np.array([part.sum() for part in np.split(gap, np.cumsum(words)[:-1])])
    return {
        "words": len(gap),
        "mean_dp": float(gap.mean()),
        "mean_dp_bound": upper_bound(totals, words),
        "p999_dp": float(np.quantile(gap, 0.999)),
        "max_dp": float(gap.max()),
        "flips": float(flipped.mean()),
        "clear_flips": float(clear.mean()),
    }


if __name__ == "__main__":
    run(main)

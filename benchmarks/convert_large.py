"""How long does the conversion of a model of deberta-v3-large's dimensions take, and how much memory?

Saves a checkpoint of random weights (24 layers of 1024, 128,100 vocabulary) to a temporary folder, runs `python -m
convert` on it as a user would, and watches the memory of that process and of those that it starts. Prints the result,
and writes it to benchmarks/results/convert-large.json. Random weights have no margin around the threshold, so the
share of words that flip says nothing here, and its limit is lifted; all others hold.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors, trainers

from benchmarks.harness import RESULTS, machine, resident
from bento.settings import ROOT
from convert import texts
from convert.dimensions import PUBLISHED

LARGE = {key: value for key, value in PUBLISHED["deberta-v3-large"].config().items() if key != "model_type"}
STAGE = re.compile(r"^(\w[\w ]*?) +([\d.]+) s$", re.MULTILINE)
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--layers", type=int, default=LARGE["num_hidden_layers"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Path(scratch, "large-random"), Path(scratch, "out")
        # In a process of its own: its memory is not the conversion's, nor this one's.
        command = "import sys; from benchmarks import convert_large; convert_large.save(sys.argv[1], int(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", command, str(source), str(options.layers)], cwd=ROOT, check=True)
        result = _convert(source, out, options.precision)
    print(json.dumps(result, indent=2))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "convert-large.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def save(folder: str, layers: int) -> None:
    """Write the checkpoint, with a small tokenizer."""
    torch.manual_seed(0)
    config = transformers.DebertaV2Config(**LARGE | {"num_hidden_layers": layers})
    transformers.DebertaV2ForTokenClassification(config).save_pretrained(folder)
    save_tokenizer(Path(folder))


def save_tokenizer(folder: Path) -> None:
    """Train one of one to two tokens a word, on the texts of the verification."""
    bpe = tokenizers.Tokenizer(models.BPE(unk_token=SPECIAL[3]))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, show_progress=False)
    bpe.train_from_iterator([text.text for text in texts.ladder()], trainer)
    around = [(token, SPECIAL.index(token)) for token in SPECIAL[1:3]]
    bpe.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    bpe.save(str(folder / "tokenizer.json"))


def _convert(source: Path, out: Path, precision: str) -> dict[str, object]:
    weights = (source / "model.safetensors").stat().st_size
    command = [sys.executable, "-m", "convert", str(source), "--out", str(out), "--precision", precision]
    start, peak = time.perf_counter(), 0
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as log,
        subprocess.Popen([*command, "--max-flips", "1"], cwd=ROOT, stderr=log) as process,
    ):
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        log.seek(0)
        lines = log.read()
    if process.returncode:
        raise SystemExit(lines)
    return {
        "question": "seconds and memory of `python -m convert` at the dimensions of deberta-v3-large, random weights",
        "seconds": round(seconds, 1),
        "stages_s": {name: float(value) for name, value in STAGE.findall(lines)},
        "checkpoint_mb": round(weights / 1e6),
        "peak_mb": round(peak / 1e6),
        "peak_over_checkpoint": round(peak / weights, 2),
        "report": json.loads((out / "report.json").read_text()),
        "machine": machine(),
    }


if __name__ == "__main__":
    main()

"""An unconverted checkpoint in PyTorch: equal to transformers' own pipeline, bounded padding, clear refusals."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from bento import metrics
from bento.detector import Detector
from bento.engines import Batching, choice
from bento.engines.pytorch import MOST_PADDING, compiled, devices, half, halving
from bento.errors import ArtifactError, ConfigError
from bento.settings import ApiSettings, ModelSettings, Settings
from bento.types import FloatArray, IntArray
from tests.convert.conftest import MakeCheckpoint

TEXTS = [
    "Who wrote this?",
    "The committee met on Tuesday, and after a long debate it agreed to postpone the vote.",
    "a",
]


def settings(folder: Path, **model: object) -> Settings:
    return Settings(model=ModelSettings.model_validate({"checkpoint_dir": folder, "window_overlap": 16, **model}))


def expected(folder: Path, text: str) -> list[float]:
    """By transformers' own pipeline: the mean of the machine's probability over the tokens of each word."""
    theirs: Any = transformers  # half typed
    fast = theirs.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")  # noqa: S106
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    pipeline = theirs.TokenClassificationPipeline(model=model, tokenizer=fast, ignore_labels=[])
    found = [(each["start"], each["end"], each) for each in pipeline(text)]
    scores, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        own = [
            each["score"] if each["entity"] == "machine" else 1 - each["score"]
            for first, last, each in found
            if first < start + len(word) and last > start
        ]
        scores.append(float(np.mean(own)))
        start += len(word)
    return scores


@pytest.mark.parametrize("kind", ["deberta-v3", "bert", "roberta", "distilbert"])
def test_scores_are_those_of_transformers_pipeline(make_checkpoint: MakeCheckpoint, kind: str) -> None:
    folder = make_checkpoint(kind)
    detector = Detector.load(settings(folder))
    try:
        found = asyncio.run(detector.score(TEXTS)).words
    finally:
        detector.close()
    for text, scores in zip(TEXTS, found, strict=True):
        assert np.abs(scores - expected(folder, text)).max() < 1e-5
    assert detector.version.split("-")[-2].startswith(f"torch.{torch.__version__.partition('+')[0]}.")


def test_a_checkpoint_is_served_as_it_is_and_the_log_says_what_would_be_faster(
    make_checkpoint: MakeCheckpoint, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_checkpoint("bert")
    with caplog.at_level(logging.INFO, "wordtell"):
        read, runner, _ = choice.choose(folder, settings(folder))
    can = runner.abilities
    assert (can.engine, can.device, can.batching, can.run_tokens) == ("pytorch", "cpu", Batching.PADDED, None)
    assert can.most_padding == MOST_PADDING == 0.05
    assert read.manifest.engine == "torch"
    assert "using pytorch" in caplog.text
    assert "make convert" in caplog.text
    assert "api.use_fp16 has no effect here: on a CPU the model computes in fp32" in caplog.text


def test_the_version_names_the_weights(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("bert")
    digests = [choice.choose(folder, settings(folder))[0].manifest.digest]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"note": 1}))
    digests.append(choice.choose(folder, settings(folder))[0].manifest.digest)
    assert digests[0] != digests[1]


def test_a_run_that_has_no_room_is_halved_until_it_fits() -> None:
    seen: list[int] = []

    def run(windows: Sequence[IntArray]) -> list[FloatArray]:
        seen.append(len(windows))
        if len(windows) > 2:
            raise torch.OutOfMemoryError
        return [window.astype(np.float32) for window in windows]

    windows = [np.array([index]) for index in range(5)]
    assert [int(found[0]) for found in halving(run, windows)] == [0, 1, 2, 3, 4]
    assert seen == [5, 2, 3, 1, 2]


def test_one_window_without_room_is_an_error() -> None:
    def run(windows: Sequence[IntArray]) -> list[FloatArray]:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        halving(run, [np.array([1])] * 2)


@pytest.mark.parametrize(
    ("asked", "count", "taken"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda:0"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda:0"), ("cuda:1", 2, "cuda:1")],
)
def test_the_device_is_chosen(monkeypatch: pytest.MonkeyPatch, asked: str, count: int, taken: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert str(devices.choose(asked)) == taken


@pytest.mark.parametrize(
    ("built", "asked", "count", "fault"),
    [
        (None, "cuda", 0, "was built without CUDA"),
        ("13.0", "cuda", 0, "there is no GPU here: check `nvidia-smi`"),
        ("13.0", "cuda:2", 2, "there are 2 GPUs here, cuda:0 to cuda:1"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, built: str | None, asked: str, count: int, fault: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.version, "cuda", built)
    with pytest.raises(ConfigError, match=fault):
        devices.choose(asked)


def test_memory_and_utilisation_of_a_gpu_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By numbers that stand in for the driver's; without nvidia-ml-py there is no utilisation."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30 << 30, 80 << 30))
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 75)
    devices.watch(torch.device("cuda:7"))
    assert metrics.of_device("cuda:7") == (float(50 << 30), 0.75)
    assert b'wordtell_device_utilisation{device="cuda:7"} 0.75' in metrics.exposition()[0]

    def missing(device: torch.device) -> int:
        raise ModuleNotFoundError("pynvml")

    monkeypatch.setattr(torch.cuda, "utilization", missing)
    assert metrics.of_device("cuda:7") == (float(50 << 30), None)
    for gauge in (metrics.DEVICE_MEMORY, metrics.DEVICE_UTILISATION):
        gauge.remove("cuda:7")
    devices.watch(torch.device("cpu"))
    assert metrics.of_device("cpu") == (None, None)


def test_without_torch_one_line_names_both_remedies(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    folder = make_checkpoint("bert")
    with pytest.raises(ArtifactError, match=r"PyTorch is not installed.*pip install 'wordtell\[torch\]'.*make convert"):
        choice.choose(folder, settings(folder))


def test_a_sequence_classifier_and_unknown_labels_are_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("bert", head=transformers.AutoModelForSequenceClassification)
    with pytest.raises(ConfigError, match="does not score single words"):
        choice.choose(folder, settings(folder))
    folder = make_checkpoint("bert", labels={0: "x", 1: "y"})
    with pytest.raises(ConfigError, match=r"set model\.positive_label to one of x, y"):
        choice.choose(folder, settings(folder))
    assert choice.choose(folder, settings(folder, positive_label="y"))[0].manifest.positive_indices == (1,)


def test_fp16_that_changes_scores_is_refused_with_the_figure(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bento.checkpoint import reading  # noqa: PLC0415

    checkpoint = reading.read(str(make_checkpoint("bert")))
    folder, *_ = choice.choose(make_checkpoint("bert"), settings(make_checkpoint("bert")))
    fast = half.verified(checkpoint.model, torch.device("cpu"), checkpoint, folder.manifest)
    assert next(fast.parameters()).dtype is torch.float16
    monkeypatch.setattr(half, "LIMIT", 0.0)
    with pytest.raises(ConfigError, match=r"FP16 changes a probability by 0\.\d+, the limit is 0.0; set api.use_fp16"):
        half.verified(checkpoint.model, torch.device("cpu"), checkpoint, folder.manifest)


def test_buckets_end_with_the_longest_window() -> None:
    assert compiled.buckets(512) == (32, 64, 128, 192, 256, 384, 512)
    assert compiled.buckets(100)[-1] == 100


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of what torch itself calls
def test_compiled_scores_are_the_eager_ones(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder = make_checkpoint("deberta-v3")
    found = []
    for compile_it in (False, True):
        asked = settings(folder, compile=compile_it, compile_cache=tmp_path / "cache", max_tokens=64)
        detector = Detector.load(asked.model_copy(update={"api": ApiSettings(cache_mb=0)}))
        found.append(asyncio.run(detector.score(TEXTS)).words)
        detector.close()
    assert any((tmp_path / "cache").iterdir())
    for eager, fast in zip(*found, strict=True):
        assert np.abs(eager - fast).max() < 1e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here: what CUDA does was never seen")
def test_on_a_gpu_fp16_serves_the_same_scores(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("deberta-v3")
    found = []
    for device in ("cpu", "cuda"):
        detector = Detector.load(settings(folder, device=device))
        found.append(asyncio.run(detector.score(TEXTS)).words)
        detector.close()
    for cpu, cuda in zip(*found, strict=True):
        assert np.abs(cpu - cuda).max() < half.LIMIT

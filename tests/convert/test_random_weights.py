"""Random weights at published dimensions are what a conversion of such a checkpoint would read; without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import transformers

from bento import artifact
from bento.bench import arithmetic
from bento.cpu import Plan
from bento.engines.onnx import OnnxRunner
from bento.settings import ROOT
from convert import random_weights
from convert.dimensions import PUBLISHED, Dimensions

ARCHITECTURES = sorted({size.architecture for size in PUBLISHED.values()})
TOKENIZER = ROOT / "models" / "wordtell-small" / "tokenizer.json"


def tiny(architecture: str) -> Dimensions:
    return Dimensions(4, 64, 2, 96, 8000, architecture)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> artifact.ModelFolder:
    """One for each architecture, written by a process that cannot import torch or transformers."""
    out = tmp_path_factory.mktemp("random") / request.param
    hidden = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
    write = (
        "from pathlib import Path\nfrom convert import random_weights\n"
        "from convert.dimensions import PUBLISHED, Dimensions\n"
        "PUBLISHED['tiny'] = Dimensions(4, 64, 2, 96, 8000, sys.argv[1])\n"
        "random_weights.write('tiny', Path(sys.argv[2]), Path(sys.argv[3]))"
    )
    command = [sys.executable, "-c", hidden + write, request.param, str(out), str(TOKENIZER)]
    subprocess.run(command, check=True, cwd=ROOT)
    return artifact.load(out)


def test_a_folder_is_written_without_torch(folder: artifact.ModelFolder) -> None:
    assert folder.manifest.precision == "int8"
    assert folder.fused is not None
    (logits,) = OnnxRunner(folder, Plan(1, 1).threads_per_lane).run([np.arange(30)])
    assert logits.shape == (30, 2)
    assert np.isfinite(logits).all()
    assert np.ptp(logits) > 0


def test_the_arithmetic_of_a_graph_is_that_of_its_dimensions(folder: artifact.ModelFolder) -> None:
    size = tiny(folder.manifest.architecture)
    assert folder.fused is not None
    counted = arithmetic.read(folder.fused)
    for tokens in (1, 30, 300):
        head = 2 * tokens * size.hidden * 2  # which `Dimensions.operations` leaves out
        if size.architecture == "modernbert":
            head += 2 * tokens * size.hidden**2
        assert counted.operations(tokens) == size.operations(tokens) + head
    # Both graphs hold the same matrices; in the portable one three may be one.
    portable = arithmetic.read(folder.model)
    assert sum(rows * columns for rows, columns in portable.matrices) == sum(a * b for a, b in counted.matrices)
    assert len(portable.attentions) == len(counted.attentions) == size.layers
    assert portable.weight_bytes == counted.weight_bytes


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_weight_is_one_of_transformers(architecture: str) -> None:
    size = tiny(architecture)
    config = transformers.AutoConfig.for_model(**size.config())
    theirs = transformers.AutoModelForTokenClassification.from_config(config).state_dict()
    ours = random_weights.model(size).state_dict()
    assert {name: weight.shape for name, weight in ours.items()} == {
        name: tuple(weight.shape) for name, weight in theirs.items() if "position_ids" not in name
    }


def test_weights_are_the_same_each_time_and_differ() -> None:
    first, second = list(random_weights.model(tiny("bert")).state_dict().values())[:2]
    np.testing.assert_array_equal(first.numpy(), first.numpy())
    assert not np.array_equal(first.numpy()[:2], replace(first, name=second.name).numpy()[:2])


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for content in (b"", b"\xff" * 40, b"\x3a\x05abc", (ROOT / "README.md").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not an ONNX graph"):
            arithmetic.read(path)

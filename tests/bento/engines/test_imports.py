"""What serves a converted model never loads torch or transformers, whatever is installed."""

from __future__ import annotations

import subprocess
import sys

from bento.settings import ROOT

SERVE = """
import asyncio, sys
from bento.detector import Detector
from bento.api import app
from bento.settings import Settings
detector = Detector.load(Settings())
asyncio.run(detector.score(["some words"]))
detector.close()
assert not {"torch", "transformers", "bento.checkpoint"} & set(sys.modules), "loaded"
"""


def test_serving_a_model_folder_loads_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", SERVE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

"""A module that a signal stops leaves with the exit code that it chose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = """
import os, signal, sys
from convert.interruption import SIGNALS, interruptible
before = [signal.getsignal(number) for number in SIGNALS]
try:
    with interruptible():
        try:
            exec("os.kill(os.getpid(), {signal})\\nwhile True: pass")
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            print("cleared away")
except KeyboardInterrupt:
    assert before == [signal.getsignal(number) for number in SIGNALS]
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_module_clears_away_and_keeps_its_exit_code(tmp_path: Path, number: signal.Signals) -> None:
    """From within `exec` of a text: there a plain KeyboardInterrupt makes `python -m` die of SIGINT, caught or not."""
    (tmp_path / "stopped.py").write_text(MODULE.format(signal=int(number)))
    result = subprocess.run(
        [sys.executable, "-m", "stopped"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (130, "cleared away\n"), result.stderr

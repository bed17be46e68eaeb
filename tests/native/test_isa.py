"""WORDTELL_ISA: read once in a process, so each case has its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bento.native import LIBRARY
from convert.verify import INSTRUCTION_SETS

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="the fused operators are built with a C++ compiler")

CHOOSE = "from bento.engines import fused; print(fused._instruction_set(fused.LIBRARY))"


def chosen(wanted: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WORDTELL_ISA": wanted}
    return subprocess.run([sys.executable, "-c", CHOOSE], env=environment, capture_output=True, text=True, check=False)


def test_a_name_is_the_best_that_may_run_and_none_is_no_limit() -> None:
    assert chosen("portable").stdout == "portable\n"
    best = chosen("").stdout
    assert any(best.strip() in sets for sets in INSTRUCTION_SETS)
    if sys.platform == "linux" and os.uname().machine == "x86_64":  # a processor without tiles takes what is below them
        assert chosen("amx").stdout == best


def test_a_misspelt_name_is_an_error_that_names_the_others() -> None:
    done = chosen("avx-2")
    assert done.returncode != 0
    assert "ConfigError: WORDTELL_ISA=avx-2 is no instruction set: unset it, or name one of portable" in done.stderr

"""What this processor's own instructions reach: what an engine's speed is a share of."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Literal

from bento.native import LIBRARY

Kind = Literal["int8", "bf16", "fp32", "memory"]


def measure(kind: Kind, threads: int, seconds: float, library: Path = LIBRARY) -> dict[str, float]:
    """By instruction, billions of operations a second of all threads together (a multiplication and an addition are
    two); of "memory", GB/s read.

    Takes `seconds` for each instruction. Empty where the library was not built, or knows none for this processor.
    """
    try:
        function = ctypes.CDLL(str(library)).wordtell_peak
    except (OSError, AttributeError):  # not there, or of an earlier version
        return {}
    function.argtypes, function.restype = (ctypes.c_char_p, ctypes.c_int, ctypes.c_double), ctypes.c_char_p
    found: dict[str, float] = json.loads(function(kind.encode(), threads, seconds) or b"{}")
    return found

"""Where the operators of native/ are, once native/build.py has compiled them.

`libwordtell.so` is what this machine's compiler made of them, if it did; `libwordtell.x86_64.so` and its like are what
ships in wheel, Bento and image, for the processor that they name.
"""

from __future__ import annotations

import platform
from pathlib import Path

_OURS = Path(__file__).with_name("libwordtell.so")
LIBRARY = _OURS if _OURS.exists() else _OURS.with_suffix(f".{platform.machine().lower()}.so")

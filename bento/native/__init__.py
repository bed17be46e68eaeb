"""Where the operators of native/ are, once they are built: `make` does it wherever there is a C++ compiler."""

from __future__ import annotations

from pathlib import Path

LIBRARY = Path(__file__).with_name("libwordtell.so")

"""native/build.py, which is no package."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from bento.settings import ROOT


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("native_build", ROOT / "native" / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = _module()

"""Tells the package's build to compile the operators, and that a wheel which holds them is for one platform."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs native/build.py first."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling."""
        spec = importlib.util.spec_from_file_location("native_build", Path(self.root, "native", "build.py"))
        if spec is None or spec.loader is None:
            raise ImportError("native/build.py")
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        build.main()
        if build.TARGET.exists():
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

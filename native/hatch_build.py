"""What the package's build adds to a wheel: the operators, and what `wordtell serve` serves.

WHEEL_MACHINE=x86_64 or aarch64 makes a wheel that ships, for every Linux with the glibc of native/build.py. Without it
the operators are for this machine, by its own compiler; where they cannot be built, the wheel is for any.
"""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# bento/settings.py finds these below bento/home where they are not beside the package.
HOME = ("service.py", "shared_config.yaml", "models/wordtell-small")


class NativeBuildHook(BuildHookInterface):
    """Builds the operators first."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling."""
        build = builder(Path(self.root))
        machine = os.environ.get("WHEEL_MACHINE", "")
        if build.main(["--target", machine] if machine else []):
            raise RuntimeError(f"the operators for {machine} are not built")
        if version == "editable":
            return
        library = build.shipped(machine) if machine else build.here()
        if build.is_current(library):
            kind = f"manylinux_{build.GLIBC.replace('.', '_')}_{machine}" if machine else sysconfig.get_platform()
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{kind.replace('-', '_').replace('.', '_')}"
            build_data["force_include"][str(library)] = f"bento/native/{library.name}"
        for name in HOME:
            build_data["force_include"][str(Path(self.root, name))] = f"bento/home/{name}"


def builder(root: Path) -> ModuleType:
    """native/build.py, which is no package."""
    spec = importlib.util.spec_from_file_location("native_build", root / "native" / "build.py")
    if spec is None or spec.loader is None:
        raise ImportError("native/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

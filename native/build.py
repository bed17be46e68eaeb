"""Compile the operators into bento/native/: no build system, one compiler call a file.

    python native/build.py [--required]

Without a C++ compiler it says so in one line and succeeds, since the portable graph serves too; --required fails.
A file is named for the kind of processor it is for, and gets that kind's flags; the choice is made when it runs.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "bento" / "native" / "libwordtell.so"
COMMON = (
    f"-I{HERE}",
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
    "-ffp-contract=off",
)
# The runtime of C++ goes into the library: the image it is copied to may have an older one.
LINK = ("-shared", "-static-libstdc++", "-static-libgcc", "-Wl,--no-undefined", "-pthread")
AVX2 = ("-mavx2", "-mfma")
AVX512 = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
AVX512BF16 = (*AVX512, "-mavx512bf16")
AMX = (*AVX512BF16, "-mamx-tile", "-mamx-int8", "-mamx-bf16")
FLAGS = {"avx2": AVX2, "avx512": AVX512, "avx512bf16": AVX512BF16, "amx": AMX}
X86 = ("x86_64", "amd64")


def compiler() -> str | None:
    """$CXX, or the first that is there."""
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def sources(machine: str) -> dict[Path, tuple[str, ...]]:
    """Every file to compile for this machine, with the flags that are its own."""
    found = {}
    for path in sorted(HERE.glob("[!t]*/*.cpp")):  # not those of tests/
        if path.stem not in FLAGS:
            found[path] = ()
        elif machine.lower() in X86:
            found[path] = FLAGS[path.stem]
    return found


def compile_all(
    cxx: Sequence[str],
    folder: Path,
    extra: Sequence[str] = (),
    skip: Sequence[str] = (),
    machine: str = platform.machine(),
) -> list[Path]:
    """Compile every file, side by side; the object files. Raises CalledProcessError; the compiler has said why.

    skip: folders to leave out; machine: what to compile for, as the compiler does.
    """
    chosen = {path: flags for path, flags in sources(machine).items() if path.parent.name not in skip}

    def compile_one(path: Path) -> Path:
        made = folder / f"{path.parent.name}_{path.stem}.o"
        subprocess.run([*cxx, *COMMON, *extra, *chosen[path], "-c", str(path), "-o", str(made)], check=True)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, chosen))


def build(cxx: str, target: Path) -> None:
    """Compile and link. The target is replaced in one step. Raises CalledProcessError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        linked = Path(scratch, target.name)
        objects = compile_all((cxx,), Path(scratch))
        subprocess.run([cxx, *map(str, objects), *LINK, "-o", str(linked)], check=True)
        linked.replace(target)


def main() -> int:
    """See the module."""
    cxx = compiler()
    if cxx is None or sysconfig.get_platform().startswith("win"):
        print("wordtell: no C++ compiler (c++, g++ or clang++): its fused operators are not built", file=sys.stderr)
        return int("--required" in sys.argv)
    try:
        build(cxx, TARGET)
    except subprocess.CalledProcessError as error:
        print(f"wordtell: {cxx} failed: the fused operators are not built", file=sys.stderr)
        return error.returncode if "--required" in sys.argv else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())

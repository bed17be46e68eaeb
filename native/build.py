"""Compile the operators into bento/native/: no build system, one compiler call a file.

    python native/build.py [--required]                 libwordtell.so, for this machine
    python native/build.py --target x86_64 [aarch64]    libwordtell.x86_64.so, ..., which ship

For this machine its own compiler is taken ($CXX, c++, g++ or clang++); where there is none, what ships is built and
used here too. Where neither can be, it says so in one line and succeeds, since the portable graph serves; --required
fails.

What ships is always zig's: it links with the glibc of GLIBC, whatever this machine has, for every machine in TARGETS.
Once there is the one for this machine, nothing else is built or used here.

A file is named for the kind of processor it is for, and gets that kind's flags; the choice is made when it runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "bento" / "native" / "libwordtell.so"
# The oldest C library that what ships must run with: that of Debian 10, RHEL 8 and the wheels called manylinux_2_28.
GLIBC = "2.28"
TARGETS = ("x86_64", "aarch64")
ZIG = HERE.parent / "build" / "zig"
ZIG_LOCK = HERE / "zig.lock"
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
# The runtime of C++ goes into the library: where it is copied to, there may be an older one, or none.
EXPORTS = f"-Wl,--no-undefined,--version-script={HERE / 'exports.map'}"
LINK = ("-shared", "-static-libstdc++", "-static-libgcc", EXPORTS, "-pthread")
# A header silences a warning of gcc that clang does not know.
ZIG_FLAGS = ("-s", "-Wno-unknown-warning-option")
AVX2 = ("-mavx2", "-mfma")
AVX512 = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
AVX512BF16 = (*AVX512, "-mavx512bf16")
AMX = (*AVX512BF16, "-mamx-tile", "-mamx-int8", "-mamx-bf16")
X86 = ("x86_64", "amd64")
# GCC has Arm's products of bytes from this architecture on; zig knows no -march.
ARM = "-march=armv8.2-a"
ZIG_ARM = "-mcpu=generic"
# By the machines that they are for.
FLAGS: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {
    X86: {"avx2": AVX2, "avxvnni": AVX2, "avx512": AVX512, "avx512bf16": AVX512BF16, "amx": AMX},
    ("aarch64", "arm64"): {
        "dotprod": (f"{ARM}+dotprod",),
        "i8mm": (f"{ARM}+dotprod+i8mm+bf16",),
    },
}


class NotBuilt(Exception):
    """There will be no library, and this is why."""


def compiler() -> str | None:
    """$CXX, or the first that is there."""
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def has_zig() -> bool:
    """Is the environment of zig() there, of this lock, and whole?"""
    ready = ZIG / "ready"
    return ready.exists() and ready.read_bytes() == ZIG_LOCK.read_bytes()


def zig(machine: str) -> tuple[str, ...]:
    """A compiler for this machine and GLIBC, from the package index, in an environment of its own.

    Raises NotBuilt when it cannot be had.
    """
    python = ZIG / "bin" / "python"
    if not has_zig():
        version = ZIG_LOCK.read_text().split("ziglang==")[1].split()[0]
        print(f"wordtell: taking the compiler ziglang {version} from the package index (once, 440 MB)", file=sys.stderr)
        install = ("-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", str(ZIG_LOCK))
        for command in ((sys.executable, "-m", "venv", "--clear", str(ZIG)), (str(python), *install)):
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                words = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
                raise NotBuilt(f"ziglang {version} cannot be had from the package index: {words}")
        shutil.copyfile(ZIG_LOCK, ZIG / "ready")
    return (str(python), "-m", "ziglang", "c++", "-target", f"{machine}-linux-gnu.{GLIBC}", *ZIG_FLAGS)


def sources(machine: str) -> dict[Path, tuple[str, ...]]:
    """Every file to compile for this machine, with the flags that are its own."""
    own = {
        name: flags for machines, sets in FLAGS.items() if machine.lower() in machines for name, flags in sets.items()
    }
    others = {name for sets in FLAGS.values() for name in sets} - set(own)
    paths = sorted(HERE.glob("[!t]*/*.cpp"))  # not those of tests/
    return {path: own.get(path.stem, ()) for path in paths if path.stem not in others}


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
    arm = ZIG_ARM if "ziglang" in cxx else ARM

    def compile_one(path: Path) -> Path:
        made = folder / f"{path.parent.name}_{path.stem}.o"
        own = [flag.replace(ARM, arm) for flag in chosen[path]]
        subprocess.run([*cxx, *COMMON, *extra, *own, "-c", str(path), "-o", str(made)], check=True)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, chosen))


def build(cxx: Sequence[str], target: Path, machine: str = platform.machine()) -> None:
    """Compile and link. The target is replaced in one step. Raises NotBuilt; the compiler has said why."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        linked = Path(scratch, target.name)
        try:
            objects = compile_all(cxx, Path(scratch), machine=machine)
            subprocess.run([*cxx, *map(str, objects), *LINK, "-o", str(linked)], check=True)
        except subprocess.CalledProcessError as error:
            raise NotBuilt(f"{' '.join(cxx[:4])} failed") from error
        linked.replace(target)


def shipped(machine: str) -> Path:
    """Where the library for these machines is, once it is built."""
    return TARGET.with_suffix(f".{machine}.so")


def here() -> Path:
    """The library that is used on this machine, as bento/native/__init__.py finds it."""
    return TARGET if TARGET.exists() else shipped(platform.machine())


def is_current(library: Path) -> bool:
    """Is it newer than all that it is made of?"""
    made_of = (*HERE.glob("*.*"), *HERE.glob("[!t]*/*.*"))
    return library.exists() and library.stat().st_mtime > max(path.stat().st_mtime for path in made_of)


def build_shipped(machine: str) -> None:
    """The library that ships for these machines, unless it is there. Raises NotBuilt."""
    if not is_current(shipped(machine)):
        build(zig(machine), shipped(machine), machine)
    if machine == platform.machine():
        TARGET.unlink(missing_ok=True)


def build_here() -> None:
    """A library for this machine, unless it or the one that ships is there. Raises NotBuilt."""
    if is_current(shipped(platform.machine())):
        TARGET.unlink(missing_ok=True)
    elif is_current(TARGET):
        return
    elif sys.platform == "win32":
        raise NotBuilt("they are not made for Windows")
    elif host := compiler():
        build((host,), TARGET)
    elif platform.libc_ver()[0] == "glibc" and platform.machine() in TARGETS:
        build_shipped(platform.machine())
    else:
        raise NotBuilt("there is no C++ compiler (c++, g++ or clang++)")


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--required", action="store_true", help="fail when they cannot be built")
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=(), help="build what ships for these machines")
    given = parser.parse_args(arguments)
    try:
        for machine in given.target:
            build_shipped(machine)
        if not given.target:
            build_here()
    except NotBuilt as error:
        print(f"wordtell: the fused operators are not built: {error}", file=sys.stderr)
        return int(given.required or bool(given.target))
    return 0


if __name__ == "__main__":
    sys.exit(main())

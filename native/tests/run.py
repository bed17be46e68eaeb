"""Test the kernels of every instruction set against the formulas in double precision.

    python native/tests/run.py [--shapes 20] [--seed N] [--only NAME ...]

Each variant runs every test_*.cpp; variants with the same compiler and flags share their programs:
  built       with the flags of native/build.py and this machine's compiler, as `make serve` has them
  shipped     as they ship, on this processor
  sanitizers  with the address and undefined-behaviour sanitizers
  tiles       the kernels for AMX on tiles in software, with the same sanitizers; needs AVX-512 with bfloat16
  haswell     on an emulated x86-64 processor with AVX2 and no AVX-512, under qemu-user
  aarch64     cross-compiled, on a processor with all instructions of Arm, under qemu-user
  neoverse-n1 the same programs on an Arm processor with SDOT and without products of matrices
  cortex-a72  the same programs on an Arm processor with neither

On a processor with AVX-512's VNNI and without AVX-VNNI, `built` and `sanitizers` compile the AVX-VNNI kernels in the
encoding of AVX-512 (cpu/vnni.h) and test them too. shipped needs the compiler that `make wheel` installs; haswell and
the Arm variants use it if it is installed. A variant that this machine cannot run is skipped, with the reason. The seed
is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
TILES = (*SANITIZERS, "-DWORDTELL_SOFTWARE_TILES")
EVEX = "-DWORDTELL_EVEX"
ARM = "aarch64-linux-gnu"


@dataclass(frozen=True)
class Variant:
    """How the tests are compiled and run; `missing` is why not, if they cannot be."""

    name: str
    compiler: tuple[str, ...]
    flags: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    machine: str = platform.machine()
    isas: tuple[str, ...] = ()  # those to test; none: all
    missing: str = ""

    @property
    def emulated(self) -> bool:
        """Whether the processor, or a part of it, is software."""
        return bool(self.runner) or "-DWORDTELL_SOFTWARE_TILES" in self.flags


def builder() -> ModuleType:
    """native/build.py, which is no package."""
    spec = importlib.util.spec_from_file_location("native_build", HERE.parent / "build.py")
    if spec is None or spec.loader is None:
        raise ImportError("native/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def variants(build: ModuleType) -> list[Variant]:
    """All of them, with what this machine lacks."""
    host = build.compiler()
    if host is None:
        sys.exit("the kernels' tests need a C++ compiler: install g++ or clang++")
    x86 = platform.machine().lower() in build.X86
    flags = Path("/proc/cpuinfo").read_text().split() if x86 and Path("/proc/cpuinfo").exists() else []
    no_tiles = "" if "avx512_bf16" in flags else "this processor has no AVX-512 with bfloat16"
    haswell = qemu("qemu-x86_64") if x86 else "this is no x86-64 machine"
    has_zig = build.has_zig() and platform.machine() in build.TARGETS
    ships = build.zig(platform.machine()) if has_zig else (host,)
    evex = (EVEX,) if "avx512_vnni" in flags and "avx_vnni" not in flags else ()
    return [
        Variant("built", (host,), evex),
        Variant("shipped", ships, missing="" if has_zig else "the compiler of what ships is not there: `make wheel`"),
        Variant("sanitizers", (host,), (*SANITIZERS, *evex)),
        Variant("tiles", (host,), TILES, isas=("amx",), missing=no_tiles),
        Variant("haswell", ships, runner=("qemu-x86_64", "-cpu", "Haswell"), isas=("avx2",), missing=haswell),
        *arm(build),
    ]


def qemu(program: str) -> str:
    """What is missing of it."""
    return "" if shutil.which(program) else f"there is no {program}: install qemu-user"


def arm(build: ModuleType) -> list[Variant]:
    """The variants for Arm: by the shipping compiler if a C library for it is installed, else by a cross compiler."""
    system, runner = Path("/usr", ARM), "qemu-aarch64"
    compiler: tuple[str, ...]
    flags: tuple[str, ...]
    library: tuple[str, ...]
    found = shutil.which(f"{ARM}-g++")
    if build.has_zig() and system.exists():
        compiler, flags, library = build.zig("aarch64"), (), ("-L", str(system))
        missing = qemu(runner)
    else:
        compiler, flags, library = (found or "",), ("-static",), ()
        missing = qemu(runner) if found else f"there is no compiler for aarch64: install g++-{ARM}"
    return [
        Variant(name, compiler, flags, (runner, *library, "-cpu", cpu), "aarch64", isas, missing)
        for name, cpu, isas in (
            ("aarch64", "max", ("portable", "dotprod", "i8mm")),
            ("neoverse-n1", "neoverse-n1", ("dotprod",)),
            ("cortex-a72", "cortex-a72", ("portable",)),
        )
    ]


def compiled(build: ModuleType, variant: Variant, folder: Path) -> list[Path]:
    """The programs of every test, in a folder that variants with the same compiler and flags share."""
    programs = [folder / source.stem for source in sorted(HERE.glob("test_*.cpp"))]
    if not folder.exists():
        folder.mkdir()
        kernels = build.compile_all(variant.compiler, folder, variant.flags, ("ort",), variant.machine)
        command = [*variant.compiler, *build.COMMON, *variant.flags, *map(str, kernels), "-pthread"]

        def compile_one(program: Path) -> None:
            subprocess.run([*command, str(HERE / f"{program.name}.cpp"), "-o", str(program)], check=True)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile_one, programs))
    return programs


def test(build: ModuleType, variant: Variant, scratch: Path, shapes: int, seed: int) -> bool:
    """Compile and run every test. Returns whether all passed."""
    started = time.monotonic()
    folder = scratch / str(hash((variant.compiler, variant.flags)))
    # What is emulated is ten to a hundred times slower: fewer shapes. The long ones are tested as shipped.
    length = "short" if variant.emulated or SANITIZERS[0] in variant.flags else "long"
    words = [str(shapes // 4 if variant.emulated else shapes), str(seed), length, *variant.isas]

    def run(program: Path) -> int:
        done = subprocess.run([*variant.runner, program, *words], check=False, capture_output=True, text=True)
        # qemu warns of each feature of the processor that it lacks: a dozen lines a program.
        lines = [line for line in done.stderr.splitlines() if not line.startswith("qemu-x86_64: warning: TCG")]
        print(done.stdout, *(f"{line}\n" for line in lines), sep="", end="", flush=True)
        return done.returncode

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        codes = list(pool.map(run, compiled(build, variant, folder)))
    print(f"{variant.name}: {'FAILED' if any(codes) else 'passed'} in {time.monotonic() - started:.0f} s", flush=True)
    return not any(codes)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=int, default=20, help="random shapes beyond the fixed ones")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="variants to run")
    arguments = parser.parse_args()
    build = builder()
    all_variants = variants(build)
    if unknown := set(arguments.only or ()) - {variant.name for variant in all_variants}:
        parser.error(f"no variant is called {', '.join(sorted(unknown))}")
    print(f"{arguments.shapes} random shapes, seed {arguments.seed}", flush=True)
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for variant in all_variants:
            if arguments.only and variant.name not in arguments.only:
                continue
            if variant.missing:
                print(f"{variant.name}: skipped: {variant.missing}", flush=True)
            elif not test(build, variant, Path(scratch), arguments.shapes, arguments.seed):
                failed.append(variant.name)
    if failed:
        print(f"FAILED: {' '.join(failed)}. Again: --seed {arguments.seed} --only {' '.join(failed)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

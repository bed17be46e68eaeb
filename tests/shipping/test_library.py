"""The operators that ship load on an old system, and compute there what they compute here."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import SymbolTableSection

from bento.settings import ROOT
from tests.shipping.shipped import build

OLDEST = tuple(map(int, build.GLIBC.split(".")))
# What every Linux with a glibc has; no libstdc++, no libgcc_s.
SYSTEM = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
CROSS_LIBRARIES = Path("/usr/aarch64-linux-gnu")


@pytest.fixture(params=build.TARGETS)
def library(request: pytest.FixtureRequest) -> Path:
    path: Path = build.shipped(request.param)
    if not build.is_current(path):
        pytest.skip("what ships is built by `make wheel`")
    return path


def test_it_needs_nothing_that_the_oldest_system_lacks(library: Path) -> None:
    with library.open("rb") as file:
        elf = ELFFile(file)
        assert {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}[elf["e_machine"]] in library.name
        sections = list(elf.iter_sections())
        (dynamic,) = (section for section in sections if isinstance(section, DynamicSection))
        # An attribute that it has for this kind of tag alone.
        assert {getattr(tag, "needed") for tag in dynamic.iter_tags("DT_NEEDED")} <= set(SYSTEM)  # noqa: B009
        (needs,) = (section for section in sections if isinstance(section, GNUVerNeedSection))
        versions = [version.name for _, found in needs.iter_versions() for version in found]
    assert versions
    too_new = [name for name in versions if tuple(map(int, name.removeprefix("GLIBC_").split("."))) > OLDEST]
    assert not too_new


def test_it_shows_its_own_functions_only(library: Path) -> None:
    with library.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".dynsym")
        assert isinstance(table, SymbolTableSection)
        symbols = table.iter_symbols()
        shown = {s.name for s in symbols if s["st_shndx"] != "SHN_UNDEF" and s["st_info"]["bind"] != "STB_LOCAL"}
    assert "RegisterCustomOps" in shown
    assert all(name == "RegisterCustomOps" or name.startswith("wordtell_") for name in shown)


def test_it_loads_here_and_chooses_the_best_that_the_processor_has(library: Path) -> None:
    """Compilers' own ways to ask for features lean on their runtimes, and zig's answers no to everything."""
    if platform.machine() not in library.name:
        pytest.skip("this processor runs the other one")
    operators = ctypes.CDLL(str(library))
    for function in (operators.wordtell_isa, operators.wordtell_isa_refused):
        function.restype = ctypes.c_char_p
    flags = Path("/proc/cpuinfo").read_text().split()
    has = {"amx_int8": "amx", "avx512_bf16": "avx512bf16", "avx512_vnni": "avx512vnni", "avx_vnni": "avxvnni"}
    has |= {"avx2": "avx2", "i8mm": "i8mm", "asimddp": "dotprod"}
    if operators.wordtell_isa_refused():
        del has["amx_int8"]
    best = next((name for flag, name in has.items() if flag in flags), "portable")
    assert operators.wordtell_isa().decode() == best


@pytest.mark.parametrize(
    ("processor", "best"), [("max", "i8mm"), ("neoverse-n1", "dotprod"), ("cortex-a72", "portable")]
)
def test_that_for_aarch64_loads_there_and_chooses_the_best(tmp_path: Path, processor: str, best: str) -> None:
    library = build.shipped("aarch64")
    compiler = shutil.which("aarch64-linux-gnu-g++")
    if not build.is_current(library) or not shutil.which("qemu-aarch64") or compiler is None:
        pytest.skip("needs what `make wheel` builds, qemu-user and g++-aarch64-linux-gnu")
    source = tmp_path / "load.cpp"
    source.write_text(
        "#include <dlfcn.h>\n#include <cstdio>\nint main(int, char** given) {\n"
        "  void* library = dlopen(given[1], RTLD_NOW);\n  if (!library) return puts(dlerror()), 1;\n"
        '  using Isa = const char* (*)();\n  puts(reinterpret_cast<Isa>(dlsym(library, "wordtell_isa"))());\n'
        '  return dlsym(library, "RegisterCustomOps") == nullptr;\n}\n'
    )
    subprocess.run([compiler, source, "-ldl", "-o", tmp_path / "load"], check=True)
    command = ["qemu-aarch64", "-L", str(CROSS_LIBRARIES), "-cpu", processor, tmp_path / "load", library]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{best}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The real native/build.py in a project of one function, which compiles in a second."""
    native = tmp_path / "project" / "native"
    (native / "cpu").mkdir(parents=True)
    for name in ("build.py", "exports.map", "zig.lock"):
        shutil.copy(ROOT / "native" / name, native)
    shown = 'extern "C" __attribute__((visibility("default"))) int'
    one = f"{shown} wordtell_one() {{ return 1; }}\n{shown} RegisterCustomOps() {{ return 0; }}\n"
    (native / "cpu" / "one.cpp").write_text(one)
    return native.parent


def without_compilers(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """native/build.py on a machine that has Python alone."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CXX", "PYTHONPATH")}
    empty = project / "empty"
    empty.mkdir()
    command = [sys.executable, str(project / "native" / "build.py"), "--required"]
    return subprocess.run(
        command, env=kept | {"PATH": str(empty)} | variables, capture_output=True, text=True, check=False
    )


def test_without_a_compiler_and_an_index_one_line_says_so(project: Path) -> None:
    done = without_compilers(project, PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)
    taking, failed = done.stderr.splitlines()
    assert taking.startswith("wordtell: taking the compiler ziglang ")
    assert failed.startswith("wordtell: the fused operators are not built: ziglang ")
    assert "cannot be had from the package index: ERROR: No matching distribution found" in failed
    assert done.returncode == 1


def test_without_a_compiler_that_of_the_index_is_used(project: Path) -> None:
    """The environment that `make wheel` installed, so that it need not be fetched again."""
    if not build.has_zig() or platform.machine() not in build.TARGETS:
        pytest.skip("the compiler of the package index is installed by `make wheel`")
    (project / "build").mkdir()
    (project / "build" / "zig").symlink_to(build.ZIG)
    done = without_compilers(project)
    assert (done.returncode, done.stderr) == (0, "")
    made = project / "bento" / "native" / f"libwordtell.{platform.machine()}.so"
    assert ctypes.CDLL(str(made)).wordtell_one() == 1

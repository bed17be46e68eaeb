"""Count the instructions that the kernels for Arm execute, under qemu-user: there is no clock to be had for them.

    python native/tests/instructions.py [--rows 1024]

The kernels and work.cpp are compiled as they ship; qemu runs each piece of work once and twice on a processor that has
every instruction set, count_instructions.c counts, and the difference is what one piece takes. Prints a table.
Needs what the aarch64 variant of native/tests/run.py needs, the compiler that `make wheel` installs, and a qemu-user
that takes plugins.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from run import ARM, HERE, builder

SETS = ("portable", "dotprod", "i8mm")


def work(rows: int) -> dict[str, tuple[tuple[str, ...], float]]:
    """Pieces by what they are called: the words for work.cpp, and their multiplications."""
    scores = 16 * 64 * 455 * 455
    return {
        f"linear, {rows:,} x 1,024 x 4,096, GELU": (("linear", str(rows), "1024", "4096"), rows * 1024 * 4096),
        "attention, 455 tokens, as DeBERTa": (("attention", "455", "1"), 4 * scores),
        "attention, 455 tokens, as BERT": (("attention", "455", "0"), 2 * scores),
    }


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024, help="of the linear layer")
    rows: int = parser.parse_args().rows
    build = builder()
    host = build.compiler()
    if not build.has_zig() or host is None:
        sys.exit("needs a compiler for this machine, and the one of what ships: `make wheel`")
    zig = build.zig("aarch64")
    print("| millions of instructions (multiplications for each) |", " | ".join(SETS), "|")
    print("| --- |" + " --- |" * len(SETS))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        plugin, program = scratch / "count.so", scratch / "work"
        kernels = build.compile_all(zig, scratch, (), ("ort",), "aarch64")
        subprocess.run(
            [*zig, *build.COMMON, str(HERE / "work.cpp"), *map(str, kernels), "-o", str(program)], check=True
        )
        c = [host, "-x", "c", "-O2", "-shared", "-fPIC", str(HERE / "count_instructions.c")]
        subprocess.run([*c, "-o", str(plugin)], check=True)

        def count(instruction_set: str, times: int, words: tuple[str, ...]) -> int:
            qemu = ["qemu-aarch64", "-L", f"/usr/{ARM}", "-cpu", "max", "-plugin", str(plugin), "-d", "plugin"]
            command = [*qemu, str(program), instruction_set, str(times), *words]
            return int(subprocess.run(command, check=True, capture_output=True, text=True).stderr.split()[-1])

        for label, (words, products) in work(rows).items():
            taken = [count(isa, 2, words) - count(isa, 1, words) for isa in SETS]
            cells = [f"{one / 1e6:,.0f} ({products / one:.1f})" for one in taken]
            print(f"| {label} |", " | ".join(cells), "|", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

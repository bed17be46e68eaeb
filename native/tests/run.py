"""Compile the kernels' tests under the address and undefined-behaviour sanitizers, and run them.

    python native/tests/run.py [SHAPES]

SHAPES: how many random shapes to try beyond the fixed ones (60), with a seed that is printed. Every instruction set
that this processor has is tested against the formulas in double precision.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-pthread")


def builder():
    """native/build.py, which is no package."""
    spec = importlib.util.spec_from_file_location("native_build", HERE.parent / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """See the module."""
    build = builder()
    cxx = build.compiler()
    if cxx is None:
        sys.exit("the kernels' tests need a C++ compiler: install g++ or clang++")
    shapes, seed = sys.argv[1] if len(sys.argv) > 1 else "60", str(random.SystemRandom().randrange(1 << 30))
    with tempfile.TemporaryDirectory() as scratch:
        kernels = build.compile_all(cxx, Path(scratch), SANITIZERS, skip=("ort",))

        def run(test: Path) -> int:
            program = Path(scratch, test.stem)
            command = [cxx, *build.COMMON, *SANITIZERS, str(test), *map(str, kernels), "-o", str(program)]
            subprocess.run(command, check=True)
            done = subprocess.run([program, shapes, seed], check=False).returncode
            print(f"{test.stem}: {'passed' if done == 0 else 'FAILED'} ({shapes} random shapes, seed {seed})")
            return done

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return int(any(list(pool.map(run, sorted(HERE.glob("test_*.cpp"))))))


if __name__ == "__main__":
    sys.exit(main())

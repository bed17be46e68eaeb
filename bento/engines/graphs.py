"""Which of a model folder's two graphs serves on this processor: the faster one, known or measured.

On processors with AMX or VNNI the fused graph is known to be the faster one, and is taken unmeasured. On all others
both are loaded and timed; docs/adr/0009-the-faster-graph-serves.md says why.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from bento.artifact import ModelFolder
from bento.cpu import Plan
from bento.engines import Runner
from bento.engines.fused import FusedRunner
from bento.engines.onnx import OnnxRunner
from bento.errors import ArtifactError
from bento.native import LIBRARY

# Instruction sets on which every measurement of docs/benchmarks.md has the fused graph ahead.
KNOWN_FAST = frozenset({"amx", "avx512bf16", "avx512vnni"})
# Both graphs run windows of these lengths in turn, until a run has taken so many seconds: about 0.6 s in all at most.
_LENGTHS = (4, 8, 16, 32, 64, 128, 256)
_LONG_ENOUGH_S = 0.1
# Within this factor the graphs count as equally fast, so that the same one is chosen at every start.
_MARGIN = 1.1


def faster(folder: ModelFolder, plan: Plan, fused: bool = True, library: Path = LIBRARY) -> tuple[Runner, str]:
    """The runner, and the reason for the log, with what would be faster.

    fused: whether the settings allow the fused graph. Raises ArtifactError when not even the portable one loads.
    """
    reason = _obstacle(folder, fused, library)
    if reason is None and folder.fused is not None:
        try:
            ours = FusedRunner(folder.fused, plan, library)
        except ArtifactError as error:
            reason = f"the portable graph serves, several times slower than the fused one, because {error.message}"
        else:
            if ours.instruction_set in KNOWN_FAST:
                return ours, f"the fused graph is the faster one with {ours.instruction_set}"
            return _measured(folder, plan, ours)
    return OnnxRunner(folder, plan.threads_per_lane, plan.lanes), str(reason)


def _obstacle(folder: ModelFolder, fused: bool, library: Path) -> str | None:
    if folder.fused is None:
        return "the folder has no fused graph; converted anew it may have one, several times faster"
    if not fused:
        return "cpu.fused is false; the fused graph may be several times faster"
    if not library.exists():
        return (
            f"the portable graph serves, several times slower than the fused one, because there is no {library}:"
            " `make native` builds it, and a wheel for this processor has it"
        )
    return None


def _measured(folder: ModelFolder, plan: Plan, ours: FusedRunner) -> tuple[Runner, str]:
    portable = OnnxRunner(folder, plan.threads_per_lane, plan.lanes)
    length, theirs_s, ours_s = race(portable, ours, folder.manifest.max_tokens)
    figures = f"{ours_s * 1e3:.1f} ms against {theirs_s * 1e3:.1f} ms for {length} tokens"
    where = f"with {ours.instruction_set}"
    if theirs_s * _MARGIN < ours_s:
        remedy = "a processor with AVX512-VNNI or AMX (Arm: i8mm) may be several times faster"
        return portable, f"the fused graph is the slower one here {where}, {figures}; {remedy}"
    return ours, f"the fused graph is the faster one here {where}, {figures}"


def race(one: Runner, other: Runner, max_tokens: int) -> tuple[int, float, float]:
    """The length of the longest window that was run, and the seconds of each runner for it, the better of two runs."""
    found = 0, 0.0, 0.0
    for length in _LENGTHS:
        if found[0] and (length > max_tokens or max(found[1:]) > _LONG_ENOUGH_S):
            break
        window = np.arange(length) % 4
        first, second = ([_seconds(runner, window) for _ in range(2)] for runner in (one, other))
        found = length, min(first), min(second)
    return found


def _seconds(runner: Runner, window: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Of the processor, on this thread, which does its share of every run: other programs do not change the choice.

    Another choice at the next start would be another model version: a batch run could not go on.
    """
    start = time.thread_time()
    runner.run([window])
    return time.thread_time() - start

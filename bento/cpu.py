"""How many cores this process may use, and how lanes and threads share them.

`os.cpu_count()` is the machine's. A container may have fewer: by affinity (cpuset, taskset), by a cgroup quota
(Kubernetes' limits.cpu), or by OMP_NUM_THREADS, which ONNX Runtime's wheels ignore. Two hardware threads of one core
count once, because the second adds almost nothing to matrix products. The least of these numbers counts.
"""

from __future__ import annotations

import math
import os
import platform
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bento.errors import ConfigError
from bento.settings import CpuSettings


@dataclass(frozen=True)
class Cores:
    """Cores that each source allows; None if a source sets no limit. physical: cores among those that the affinity
    allows."""

    affinity: int
    physical: int | None
    quota: float | None
    omp_num_threads: int | None

    @property
    def usable(self) -> int:
        """Cores to compute on, at least 1. Part of a core rounds up: a quota of 1.5 serves best with two threads."""
        allowed = [self.affinity]
        if self.physical is not None:
            allowed.append(self.physical)
        if self.quota is not None:
            allowed.append(max(1, math.ceil(self.quota)))
        if self.omp_num_threads is not None:
            allowed.append(self.omp_num_threads)
        return min(allowed)


@dataclass(frozen=True)
class Plan:
    """How many texts are computed at the same time, and how many threads share one."""

    lanes: int
    threads_per_lane: int


def detect(environ: Mapping[str, str] | None = None, root: Path = Path("/")) -> Cores:
    """Ask the system; /proc and /sys are looked for below `root`. Raises ConfigError for an absurd OMP_NUM_THREADS."""
    environ = os.environ if environ is None else environ
    if not hasattr(os, "sched_getaffinity"):
        return Cores(os.cpu_count() or 1, None, quota(root), _omp_num_threads(environ))
    allowed = os.sched_getaffinity(0)
    return Cores(len(allowed), physical(root, allowed), quota(root), _omp_num_threads(environ))


def physical(root: Path, processors: Collection[int]) -> int | None:
    """How many cores these processors (hardware threads) belong to; None where the system does not say."""
    topology = root / "sys/devices/system/cpu"
    siblings = {_read(topology / f"cpu{number}/topology/thread_siblings_list") for number in processors}
    return None if "" in siblings else len(siblings)


def plan(cores: Cores, settings: CpuSettings, threads: int = 1) -> Plan:
    """One single-threaded lane a core, unless the settings say otherwise: faster than one lane of several threads.

    threads: the most threads of a lane if the settings set none, for engines with which several are faster.
    """
    if settings.lanes:
        return Plan(settings.lanes, settings.threads_per_lane or max(1, cores.usable // settings.lanes))
    threads = settings.threads_per_lane or min(threads, cores.usable)
    return Plan(max(1, cores.usable // threads), threads)


def quota(root: Path) -> float | None:
    """Cores that the cgroup's CPU quota is worth: the least of this process's group and the groups above it.

    cgroup v2: cpu.max ("quota period" in microseconds, or "max"). v1: cpu.cfs_quota_us (-1: none), cpu.cfs_period_us.
    """
    quotas: list[float] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            for folder in _upwards(root / "sys/fs/cgroup", path):
                limit, _, period = _read(folder / "cpu.max").partition(" ")
                if limit not in ("", "max"):
                    quotas.append(int(limit) / int(period))
        elif "cpu" in controllers.split(","):
            for folder in _upwards(root / "sys/fs/cgroup/cpu", path):
                limit, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
                if limit and period and int(limit) > 0:
                    quotas.append(int(limit) / int(period))
    return min(quotas, default=None)


# Of nice(1): the model then gets a tenth of a core's time that another thread wants all of.
_STEP = 10
# From the best: a flag of /proc/cpuinfo, and what it is called in a model's version.
_INSTRUCTION_SETS = {
    "amx_int8": "amx",
    "avx512_vnni": "avx512vnni",
    "avx512f": "avx512",
    "avx_vnni": "avxvnni",
    "avx2": "avx2",
    "i8mm": "i8mm",
    "asimddp": "dotprod",
}


def instruction_set(root: Path = Path("/")) -> str:
    """The best instruction set for products that this processor has; its architecture where the system does not say."""
    lines = _read(root / "proc/cpuinfo").splitlines()
    flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
    return next((name for flag, name in _INSTRUCTION_SETS.items() if flag in flags), platform.machine())


def processor(root: Path = Path("/")) -> str:
    """What the processor calls itself; its architecture where the system does not say."""
    lines = _read(root / "proc/cpuinfo").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def step_back() -> None:
    """Lower the priority of this thread, and of those that it starts, below the process's other threads.

    So probes and refusals do not wait for the model. Only Linux has priorities a thread; a sandbox may forbid them.
    """
    if sys.platform == "linux":
        own = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, own, min(19, os.getpriority(os.PRIO_PROCESS, own) + _STEP))


def _upwards(mount: Path, path: str) -> list[Path]:
    # Without a cgroup namespace a container's own path does not exist below its mount: then the mount itself counts.
    parts = PurePosixPath(path).parts[1:]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _omp_num_threads(environ: Mapping[str, str]) -> int | None:
    # The OpenMP specification allows a list, one number for each level of nesting; the first is the outermost.
    text = environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"OMP_NUM_THREADS must be a whole number of at least 1, not {text!r}", "OMP_NUM_THREADS")
    return int(text)

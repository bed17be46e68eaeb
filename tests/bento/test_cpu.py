"""Cores that are really there, read from files as Linux writes them."""

from __future__ import annotations

import os
import platform
import sys
import threading
from pathlib import Path

import pytest

from bento import cpu
from bento.cpu import Cores, Plan
from bento.errors import ConfigError
from bento.settings import CpuSettings


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n", encoding="ascii")
    return root


V1_GROUPS = "4:memory:/pod\n3:cpu,cpuacct:/pod/box\n0::/"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "1200000 100000"}, 12),
        ({"proc/self/cgroup": "0::/pod/box", "sys/fs/cgroup/pod/box/cpu.max": "50000 100000"}, 0.5),
        (
            {
                "proc/self/cgroup": "0::/pod/box",
                "sys/fs/cgroup/pod/cpu.max": "200000 100000",
                "sys/fs/cgroup/pod/box/cpu.max": "400000 100000",
            },
            2,
        ),
        ({"proc/self/cgroup": "0::/not/mounted/here", "sys/fs/cgroup/cpu.max": "300000 100000"}, 3),
        (
            {
                "proc/self/cgroup": V1_GROUPS,
                "sys/fs/cgroup/cpu/pod/box/cpu.cfs_quota_us": "150000",
                "sys/fs/cgroup/cpu/pod/box/cpu.cfs_period_us": "100000",
            },
            1.5,
        ),
        (
            {
                "proc/self/cgroup": V1_GROUPS,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
    ],
)
def test_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu.quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("cores", "usable"),
    [
        (Cores(64, None, None, None), 64),
        (Cores(64, None, 12.0, None), 12),
        (Cores(64, None, 1.5, None), 2),
        (Cores(64, None, 0.1, None), 1),
        (Cores(4, None, 12.0, None), 4),
        (Cores(64, None, 12.0, 8), 8),
        (Cores(4, None, None, 12), 4),
        (Cores(24, 12, None, None), 12),
        (Cores(24, 12, 6.0, None), 6),
    ],
)
def test_the_least_source_holds(cores: Cores, usable: int) -> None:
    assert cores.usable == usable


@pytest.mark.parametrize(
    ("settings", "plan"),
    [
        (CpuSettings(), Plan(12, 1)),
        (CpuSettings(lanes=4), Plan(4, 3)),
        (CpuSettings(threads_per_lane=3), Plan(4, 3)),
        (CpuSettings(lanes=2, threads_per_lane=2), Plan(2, 2)),
        (CpuSettings(lanes=24), Plan(24, 1)),
    ],
)
def test_lanes_times_threads(settings: CpuSettings, plan: Plan) -> None:
    assert cpu.plan(Cores(12, None, None, None), settings) == plan


def test_omp_num_threads_is_read(tmp_path: Path) -> None:
    assert cpu.detect({"OMP_NUM_THREADS": "3,2"}, tmp_path).omp_num_threads == 3
    assert cpu.detect({"OMP_NUM_THREADS": ""}, tmp_path).omp_num_threads is None


@pytest.mark.parametrize("value", ["0", "-2", "many", "1.5"])
def test_an_absurd_omp_num_threads_is_named(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OMP_NUM_THREADS must be a whole number"):
        cpu.detect({"OMP_NUM_THREADS": value}, tmp_path)


def test_hardware_threads_of_one_core_count_once(tmp_path: Path) -> None:
    for number, siblings in enumerate(["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    assert cpu.physical(tmp_path, range(8)) == 4
    assert cpu.physical(tmp_path, {0, 4, 1}) == 2
    assert cpu.physical(tmp_path, {0, 99}) is None
    assert cpu.physical(tmp_path / "nothing", {0}) is None


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni amx_int8", "amx"),
        ("flags\t\t: avx2 avx512f avx512_vnni", "avx512vnni"),
        ("flags\t\t: avx2 avx512f", "avx512"),
        ("flags\t\t: avx2 avx_vnni", "avxvnni"),
        ("flags\t\t: avx avx2", "avx2"),
        ("Features\t: fp asimd asimddp i8mm", "i8mm"),
        ("Features\t: fp asimd asimddp", "dotprod"),
        ("flags\t\t: fpu", platform.machine()),
        ("", platform.machine()),
    ],
)
def test_the_instruction_set_is_the_best_that_the_processor_has(tmp_path: Path, line: str, name: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"processor\t: 0\n{line}\n", encoding="ascii")
    assert cpu.instruction_set(tmp_path) == name


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities a thread")
def test_a_thread_that_steps_back_takes_those_it_starts_with_it() -> None:
    seen: list[int] = []

    def own() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def work() -> None:
        cpu.step_back()
        own()
        child = threading.Thread(target=own)
        child.start()
        child.join()

    own()
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    own()
    assert seen == [seen[0], min(19, seen[0] + 10), min(19, seen[0] + 10), seen[0]]

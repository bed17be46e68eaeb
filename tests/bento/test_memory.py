"""Pages of a mapped file go back, and come again; written ones stay."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

import psutil

from bento import memory

SIZE = 64 << 20


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def test_a_mapped_file_that_was_read_goes_back_and_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"\1" * SIZE)
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapped,
    ):
        assert sum(mapped[::4096]) == SIZE // 4096
        before = resident()
        assert memory.release(file) == SIZE
        assert before - resident() > 0.9 * SIZE
        assert sum(mapped[::4096]) == SIZE // 4096


def test_a_mapping_that_was_written_to_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"\1" * 8192)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[5000] = 9
        assert memory.release(file) == 0
        assert mapped[5000] == 9


def test_a_file_that_is_not_mapped_is_nothing_to_release(tmp_path: Path) -> None:
    assert memory.release(tmp_path / "nothing") == 0


def test_threads_share_a_heap_where_the_c_library_is_glibc() -> None:
    asked = "import ctypes; from bento import memory; print(memory.share_heap(), hasattr(ctypes.CDLL(None), 'mallopt'))"
    said = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    assert said[0] == said[1]

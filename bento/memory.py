"""Gives unused memory back to the system: pages of files, and heaps."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_MAPPINGS = Path("/proc/self/smaps")
_STATUS = Path("/proc/self/status")
# Of Linux: to write "5" sets the peak of resident memory back to what is resident now (proc(5)).
_CLEAR = Path("/proc/self/clear_refs")
# glibc's malloc.h
_M_ARENA_MAX = -8


def share_heap() -> bool:
    """Use one heap for all threads. To be called before there are several. Returns whether the C library supports it.

    glibc gives each thread its own heap. Memory that one thread allocates and another frees stays in the first one's
    heap, so a server under a mixed load grows for hours.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, 1))


def settle() -> None:
    """Exclude all present objects from garbage collection. To be called when everything permanent has been loaded.

    A full collection otherwise walks all modules of the process while every thread waits: 80 to 170 ms, under load
    several times a minute.
    """
    gc.collect()
    gc.freeze()


def release(file: Path) -> int:
    """Give the pages of a privately mapped file back to the system, which reads them again when they are wanted.

    Only mappings without a written page are released, because a written page would be lost. Returns their bytes; 0 if
    the system does not list its mappings or does not have the call.
    """
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is None or not _MAPPINGS.exists():
        return 0
    released, path = 0, str(file.resolve())
    for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", _MAPPINGS.read_text(errors="surrogateescape")):
        head, _, about = mapping.partition("\n")
        if head.endswith(path) and re.search(r"^Anonymous: +0 kB$", about, re.MULTILINE):
            begin, end = (int(address, 16) for address in head.split(" ", 1)[0].split("-"))
            failed = advise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)
            released += 0 if failed else end - begin
    return released


def resident() -> int:
    """Bytes of this process that are in memory now; its peak if the system does not say."""
    return _status("VmRSS") or peak()


def peak() -> int:
    """Most bytes of this process that were in memory at a time, since it began or since `forget_peak`."""
    # Linux's count starts with the program; getrusage's is inherited from the parent process.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return _status("VmHWM") or most


def forget_peak() -> None:
    """Let `peak` begin anew, where the system can."""
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")


def _status(key: str) -> int:
    try:
        lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="ascii").splitlines())
        return int(lines[key].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 0

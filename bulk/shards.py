"""A folder of shards. Each shard is complete or absent, so an interrupted run can be resumed.

    _run.json                                      what the run is of: files, model, options; written first
    part-000000000000-000000010000.jsonl           its rows, from the first to before the last
    part-000000010000-000000013700-errors-2.jsonl  two of its rows have an error

The names alone say how many rows are written. A shard is written under another name, synced, and renamed; then its
folder is synced. So a run that is killed at any moment and repeated leaves the same bytes as an uninterrupted one.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bulk.errors import OutputError
from bulk.formats import Format

_RUN = "_run.json"
_PART = re.compile(r"part-(\d{12})-(\d{12})(?:-errors-(\d+))?(\..+)")
_UNFINISHED = ".unfinished"


class Folder:
    """The output folder of one run, locked for it while it is open."""

    def __init__(self, path: Path, run: dict[str, Any], form: Format) -> None:
        """Start or resume. run: the description that must be equal to resume. Raises OutputError."""
        self.path = path
        self._form = form
        path.mkdir(parents=True, exist_ok=True)
        inside = [file for file in path.iterdir() if not file.name.endswith(_UNFINISHED)]
        if inside and not (path / _RUN).exists():
            raise OutputError(f"{path} holds other files: name a new folder, or an empty one")
        self._lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise OutputError(f"{path} is being written by another process: wait for it, or end it") from None
        try:
            self._begin(run)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)

    def parts(self) -> list[Path]:
        """The shards, in order."""
        return [self.path / name for *_, name in self._found()]

    def done(self) -> tuple[int, int]:
        """How many rows are written, and how many of them have an error."""
        found = self._found()
        return (found[-1][1], sum(errors for _, _, errors, _ in found)) if found else (0, 0)

    def clear(self) -> None:
        """Delete the folder, because one file now has all rows; the description last, so that a killed call can be
        repeated."""
        for part in self.parts():
            part.unlink()
        (self.path / _RUN).unlink()
        self.path.rmdir()

    @contextmanager
    def shard(self) -> Iterator[tuple[BinaryIO, Any]]:
        """A stream, and a function that is told (first, last, errors) at the end: only then does the shard exist."""
        unfinished = self.path / f"shard{_UNFINISHED}"
        with unfinished.open("wb") as stream:

            def finish(first: int, last: int, errors: int) -> None:
                stream.flush()
                os.fsync(stream.fileno())
                mark = f"-errors-{errors}" if errors else ""
                unfinished.rename(self.path / f"part-{first:012}-{last:012}{mark}{self._form.suffix}")
                sync(self.path)

            yield stream, finish

    def _begin(self, run: dict[str, Any]) -> None:
        for old in self.path.glob(f"*{_UNFINISHED}"):
            old.unlink()
        try:
            before = json.loads((self.path / _RUN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            write_whole(self.path / _RUN, json.dumps(run, indent=1).encode())
            return
        except ValueError:
            raise OutputError(f"{self.path / _RUN} is damaged: name a new folder") from None
        if different := [name for name in sorted({*before, *run}) if before.get(name) != run.get(name)]:
            name = different[0]
            was, now = _short(before.get(name)), _short(run.get(name))
            raise OutputError(f"{self.path} is of another run: its {name} is {was}, now {now}: name a new folder")
        last = 0
        for first, stop, _, part in self._found():
            if first != last:
                raise OutputError(f"{self.path} lacks the shard before {part}: name a new folder")
            last = stop

    def _found(self) -> list[tuple[int, int, int, str]]:
        matches = (_PART.fullmatch(name) for name in os.listdir(self.path))
        return sorted((int(m[1]), int(m[2]), int(m[3] or 0), m[0]) for m in matches if m)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file, complete or not at all."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    with unfinished.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.rename(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Sync the folder, so that renames survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

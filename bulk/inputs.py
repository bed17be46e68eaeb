"""IN of the command line -> its files, in order."""

from __future__ import annotations

import glob
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import pyarrow as pa
from pyarrow import fs

from bulk import formats
from bulk.errors import InputError
from bulk.formats import Format, Kind

PIPE = "-"
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """A file. path: as its file system calls it; name: as it is shown; stamp: changes when the file does."""

    name: str
    path: str
    format: Format
    size: int | None = None
    stamp: str = ""
    system: Any = None


def find(given: str, kind: Kind | None = None) -> list[Source]:
    """The files of a path, a folder (all files of known formats below it), a glob or a URI that pyarrow knows.

    kind: of all of them; by default their names say it. Raises InputError where there is none.
    """
    if given == PIPE:
        return [Source(PIPE, PIPE, Format(kind or "jsonl"))]
    try:
        if "://" in given:
            system, path = fs.FileSystem.from_uri(given)
        else:
            system, path = fs.LocalFileSystem(), given
        if isinstance(system, fs.LocalFileSystem) and glob.has_magic(path) and _is_nothing(system, path):
            infos = system.get_file_info(sorted(glob.glob(path, recursive=True)))
        else:
            infos = _below(system, path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{given} cannot be read ({_reason(error)})") from None
    if len(infos) == 1 and formats.of(infos[0].path, kind) is None:
        raise InputError(f"{given} has no known ending: say its format with --format ({', '.join(formats.KINDS)})")
    found = [(info, form) for info in infos if info.is_file and (form := formats.of(info.path, kind))]
    if not found:
        raise InputError(
            f"{given} names no file of a known format (.jsonl, .csv, .tsv, .parquet, .txt; .gz, .bz2, .zst)"
        )
    return [Source(info.path, info.path, form, info.size, str(info.mtime_ns), system) for info, form in found]


@contextmanager
def opened(source: Source) -> Iterator[tuple[BinaryIO, Any]]:
    """Its bytes without their compression, and the raw file, whose `tell` says how much has been read.

    Raises InputError for what goes wrong inside.
    """
    try:
        if source.name == PIPE:
            piped = cast(io.BufferedReader, sys.stdin.buffer)
            compression = formats.compression_of(piped.peek(8)[:8])
            raw: Any = pa.PythonFile(piped, mode="r") if compression else None
            if raw is None:
                yield piped, None
                return
        else:
            raw, compression = source.system.open_input_file(source.path), source.format.compression
        stream = pa.CompressedInputStream(raw, compression) if compression else raw
        yield cast(BinaryIO, io.BufferedReader(cast(Any, stream), _BUFFER_BYTES)), raw
    except InputError:
        raise
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(f"{source.name} cannot be read further ({_reason(error)}): is it whole?") from None


def _is_nothing(system: Any, path: str) -> bool:
    return bool(system.get_file_info(path).type == fs.FileType.NotFound)


def _below(system: Any, path: str) -> list[Any]:
    info = system.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        raise InputError(f"{path} does not exist")
    if info.is_file:
        return [info]
    inside = system.get_file_info(fs.FileSelector(path, recursive=True))
    hidden = ("/.", "/_")
    return sorted(
        (one for one in inside if one.is_file and not any(mark in one.path[len(path) :] for mark in hidden)),
        key=lambda one: str(one.path),
    )


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""A file's format and compression, by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bulk.errors import InputError

Kind = Literal["jsonl", "csv", "tsv", "parquet", "text", "lines"]
Compression = Literal["gzip", "bz2", "zstd"]

KINDS: tuple[Kind, ...] = get_args(Kind)
WRITTEN: tuple[Kind, ...] = ("jsonl", "csv", "tsv", "parquet")
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(["jsonl", "ndjson"], "jsonl"),
    "csv": "csv",
    "tsv": "tsv",
    **dict.fromkeys(["parquet", "pq"], "parquet"),
    **dict.fromkeys(["txt", "text", "md"], "text"),
}
_COMPRESSIONS: dict[str, Compression] = {"gz": "gzip", "bz2": "bz2", "zst": "zstd"}
_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_SUFFIXES: dict[Compression | None, str] = {None: "", "gzip": ".gz", "bz2": ".bz2", "zstd": ".zst"}


@dataclass(frozen=True)
class Format:
    """How a file's bytes are to be understood. Parquet compresses inside: its `compression` is None."""

    kind: Kind
    compression: Compression | None = None

    @property
    def suffix(self) -> str:
        """Of a file of this format, `.jsonl.gz` for example."""
        return f".{self.kind}{_SUFFIXES[self.compression]}"


def of(name: str, kind: Kind | None = None) -> Format | None:
    """The format of a file of this name; None if the name does not say it. kind: the format if it is known already."""
    parts = name.rsplit("/", 1)[-1].lower().split(".")[1:]
    compression = _COMPRESSIONS.get(parts[-1]) if parts else None
    named = parts[:-1] if compression else parts
    found = kind or (_KINDS.get(named[-1]) if named else None)
    if found is None:
        return None
    if found == "parquet" and compression:
        raise InputError(f"{name}: Parquet is compressed inside; unpack the file")
    return Format(found, compression)


def compression_of(beginning: bytes) -> Compression | None:
    """The compression of a stream, by its first bytes."""
    return next((found for magic, found in _MAGIC.items() if beginning.startswith(magic)), None)

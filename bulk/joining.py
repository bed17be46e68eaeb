"""The shards of a run -> one file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bulk import shards, writers
from bulk.formats import Format


def join(parts: Sequence[Path], out: Path, form: Format, schema: pa.Schema) -> None:
    """Write `out` anew, whole or not at all. Raises OSError."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    with unfinished.open("wb") as stream:
        if form.kind == "parquet":
            with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
                for part in parts:
                    file = pq.ParquetFile(part)
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group))
        else:
            _join_lines(parts, stream, form)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.rename(out)
    shards.sync(out.parent)


def _join_lines(parts: Sequence[Path], stream: Any, form: Format) -> None:
    below = writers.compressed(stream, form.compression)
    for number, part in enumerate(parts):
        with pa.input_stream(str(part), compression=form.compression) as read:
            if number and form.kind in ("csv", "tsv"):
                while read.read(1) != b"\n":  # each shard has the line of the columns' names
                    pass
            shutil.copyfileobj(read, below, 1 << 20)
    below.close()

"""Records -> the bytes of a file, the same bytes for the same records."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from bulk.formats import Format
from bulk.records import Recorder
from bulk.scorer import Scored

# Limits of a Parquet row group, in rows and in scores, which a writer keeps in memory.
_GROUP_ROWS = 1_000
_GROUP_SCORES = 500_000


class _Lent:
    """A stream that pyarrow may close, and that stays open."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self.write, self.flush, self.tell = stream.write, stream.flush, stream.tell

    def close(self) -> None:
        """Its owner closes it."""


def compressed(stream: BinaryIO, compression: str | None) -> Any:
    """What is written to it comes out at `stream` compressed; to be closed. The same bytes for the same bytes.

    A gzip header would have the time; pyarrow's has none.
    """
    below = pa.PythonFile(_Lent(stream), mode="w")
    return pa.CompressedOutputStream(below, compression) if compression else below


class Writer(Protocol):
    """Writes one file."""

    def write(self, scored: Scored) -> None:
        """Write a record."""

    def close(self) -> None:
        """Write what is held, and the file's end; the stream below stays open."""


def writer(form: Format, stream: BinaryIO, recorder: Recorder) -> Writer:
    """For a file of this format into `stream`."""
    if form.kind == "parquet":
        return _Parquet(stream, recorder)
    below = compressed(stream, form.compression) if form.compression else None
    if form.kind == "jsonl":
        return _Jsonl(below or stream, recorder, below)
    return _Csv(below or stream, recorder, below, "\t" if form.kind == "tsv" else ",")


class _Jsonl:
    def __init__(self, stream: Any, recorder: Recorder, closes: Any) -> None:
        self._stream, self._recorder, self._closes = stream, recorder, closes
        self._names = [f'"{name}": ' for name in recorder.names]

    def write(self, scored: Scored) -> None:
        pairs = zip(self._names, self._recorder.texts(scored), strict=True)
        self._stream.write(f"{{{', '.join(name + value for name, value in pairs)}}}\n".encode())

    def close(self) -> None:
        if self._closes is not None:
            self._closes.close()


class _Csv:
    def __init__(self, stream: Any, recorder: Recorder, closes: Any, delimiter: str) -> None:
        self._stream, self._recorder, self._closes = stream, recorder, closes
        self._line = io.StringIO()
        self._csv = csv.writer(self._line, delimiter=delimiter, lineterminator="\n")
        self._write(recorder.names)

    def write(self, scored: Scored) -> None:
        """Scores, spans and the summary are JSON in their cells; what is not known is empty."""
        cells = ["" if text == "null" else text for text in self._recorder.texts(scored)]
        values = self._recorder.names[0], *self._recorder.names[-2:]
        plain = {"id": str(scored.row.id), "model_version": self._recorder.version, "error": scored.error or ""}
        self._write(
            [
                plain.get(name, cell) if name in values else cell
                for name, cell in zip(self._recorder.names, cells, strict=True)
            ]
        )

    def close(self) -> None:
        if self._closes is not None:
            self._closes.close()

    def _write(self, cells: Any) -> None:
        self._csv.writerow(cells)
        self._stream.write(self._line.getvalue().encode())
        self._line.seek(0)
        self._line.truncate()


class _Parquet:
    def __init__(self, stream: BinaryIO, recorder: Recorder) -> None:
        self._recorder = recorder
        self._below = compressed(stream, None)
        self._file = pq.ParquetWriter(self._below, recorder.schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._scores = 0

    def write(self, scored: Scored) -> None:
        self._rows.append(self._recorder.values(scored))
        self._scores += 0 if scored.scores is None else len(scored.scores)
        if len(self._rows) >= _GROUP_ROWS or self._scores >= _GROUP_SCORES:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._file.close()

    def _flush(self) -> None:
        self._file.write_table(table(self._rows, self._recorder.schema))
        self._rows, self._scores = [], 0


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows by column."""
    return pa.table(
        {name: pa.array([row[name] for row in rows], schema.field(name).type) for name in schema.names}, schema
    )


def write_table(form: Format, made: pa.Table, stream: Any) -> None:
    """A table of `Recorder.values` as a whole file of this format, without compression but Parquet's own."""
    if form.kind == "parquet":
        pq.write_table(made, stream, compression="zstd")
        return
    lines = io.StringIO()
    rows = (_readable(row) for row in made.to_pylist())
    if form.kind == "jsonl":
        lines.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    else:
        cells = csv.writer(lines, delimiter="\t" if form.kind == "tsv" else ",", lineterminator="\n")
        cells.writerow(made.column_names)
        cells.writerows(
            ["" if v is None else v if isinstance(v, str) else json.dumps(v) for v in row.values()] for row in rows
        )
    stream.write(lines.getvalue().encode())


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """Scores with four places, as they were before Parquet's FP32."""
    scores = row.get("scores")
    return row if scores is None else row | {"scores": [round(score, 4) for score in scores]}

"""Files -> rows, one at a time: each with its text, or with its error."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from bulk import inputs
from bulk.errors import InputError, NoColumn
from bulk.inputs import Source

_TEXTS = ("text", "content", "body", "document", "sentence", "passage")
_IDS = ("id", "_id", "uid", "uuid", "key", "doc_id", "document_id")
_BATCH_ROWS = 256
csv.field_size_limit(sys.maxsize)

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of a file. error: why it has no text.

    key: unique in the run: FILE:NUMBER, counted from 0 in its file.
    """

    key: str
    id: str | int
    text: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns hold the text and the id; None: the one whose name says so."""

    text: str | None = None
    id: str | None = None

    def found(self, file: str, names: Sequence[str]) -> Columns:
        """Of a file with these columns. Raises NoColumn."""
        for wanted, option in ((self.text, "--text"), (self.id, "--id")):
            if wanted is not None and wanted not in names:
                raise NoColumn(file, wanted, names, option)
        text = self.text or _by_name(names, _TEXTS) or (names[0] if len(names) == 1 else None)
        if text is None:
            raise NoColumn(file, None, names)
        return Columns(text, self.id or _by_name(names, _IDS))


def read(source: Source, columns: Columns, progress: Callable[[int], None] = lambda position: None) -> Iterator[Row]:
    """The rows of a file, in order. progress: told how many bytes of the file have been read. Raises InputError."""
    with inputs.opened(source) as (stream, raw):
        for number, row in enumerate(_READERS[source.format.kind](source, stream, columns)):
            if raw is not None and number % _BATCH_ROWS == 0:
                progress(raw.tell())
            yield row


def skim(source: Source, columns: Columns) -> None:
    """Raises InputError where the beginning of a file, or the end of a Parquet file, shows that it cannot be read."""
    if source.name == inputs.PIPE or source.format.kind in ("text", "lines"):
        return
    for _ in itertools.islice(read(source, columns), 1):
        pass


def _jsonl(source: Source, stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    found: Columns | None = None
    lines = (line for line in stream if line.strip())
    for number, line in enumerate(lines):
        key = f"{source.name}:{number}"
        try:
            fields = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
        except (ValueError, RecursionError) as error:
            yield Row(key, key, error=f"not JSON: {str(error)[:100]}")
            continue
        if not isinstance(fields, dict):
            yield Row(key, key, error=f"a line holds an object, not {_called(fields)}")
            continue
        found = found or columns.found(source.name, list(fields))
        yield _row(key, fields, found)


def _csv(source: Source, stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    lines = csv.reader(text, delimiter="\t" if source.format.kind == "tsv" else ",", strict=True)
    try:
        names = next(lines, [])
    except csv.Error as error:
        raise InputError(f"{source.name}: its first line is no CSV ({error})") from None
    found = columns.found(source.name, names)
    number = -1
    while True:
        key = f"{source.name}:{number + 1}"
        try:
            cells = next(lines, None)
        except csv.Error as error:
            number += 1
            yield Row(key, key, error=f"not CSV: {error}")
            continue
        if cells is None:
            return
        if not cells:
            continue
        number += 1
        if len(cells) != len(names):
            yield Row(key, key, error=f"{len(cells)} fields where the first line has {len(names)}")
            continue
        yield _row(key, dict(zip(names, cells, strict=True)), found)


def _parquet(source: Source, stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    try:
        # A pipe cannot seek, and the end of the file says what it holds.
        whole = (
            pa.BufferReader(stream.read()) if source.name == inputs.PIPE else source.system.open_input_file(source.path)
        )
        file = pq.ParquetFile(whole)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.name} is no whole Parquet file ({str(error).splitlines()[0][:100]})") from None
    found = columns.found(source.name, file.schema_arrow.names)
    wanted = [name for name in (found.text, found.id) if name is not None]
    number = itertools.count()
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(wanted))):
        for fields in batch.to_pylist():
            yield _row(f"{source.name}:{next(number)}", fields, found)


def _text(source: Source, stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    yield _decoded(f"{source.name}:0", source.name, stream.read())


def _lines(source: Source, stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    for number, line in enumerate(stream):
        key = f"{source.name}:{number}"
        yield _decoded(key, key, line.rstrip(b"\r\n"))


_READERS = {"jsonl": _jsonl, "csv": _csv, "tsv": _csv, "parquet": _parquet, "text": _text, "lines": _lines}


def _row(key: str, fields: Fields, columns: Columns) -> Row:
    assert columns.text is not None  # noqa: S101 - they have been found
    name = fields.get(columns.id, key) if columns.id else key
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        name = key if name is None else str(name)
    if columns.text not in fields:
        return Row(key, name, error=f"has no column {columns.text}; its columns: {', '.join(fields)}")
    text = fields[columns.text]
    if not isinstance(text, str):
        return Row(key, name, error=f"{columns.text} is {_called(text)}, not a text")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Row(key, _printable(name), error=f"{columns.text} is not UTF-8 text")
    return Row(key, _printable(name), text)


def _decoded(key: str, name: str, raw: bytes) -> Row:
    try:
        return Row(key, name, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Row(key, name, error=f"not UTF-8 text (byte {error.start})")


def _printable(name: str | int) -> str | int:
    return name.encode(errors="replace").decode() if isinstance(name, str) else name


def _called(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
        str: "a text",
    }
    return names.get(type(value), "null" if value is None else f"a {type(value).__name__}")


def _by_name(names: Sequence[str], known: Sequence[str]) -> str | None:
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[name] for name in known if name in lower), None)

"""Scores files on this machine: reads, scores, writes, and resumes an interrupted run."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from bento.detector import Detector
from bulk import formats, inputs, joining, readers, scorer, writers
from bulk.errors import InputError, OutputError
from bulk.formats import Format
from bulk.inputs import Source
from bulk.progress import Progress
from bulk.readers import Columns, Row
from bulk.records import Recorder
from bulk.scorer import Scored
from bulk.shards import Folder

# A shard ends at --shard-rows, or at this many characters of text: about 100 s of a large model on two cores, which is
# the most that a killed run loses.
_SHARD_CHARACTERS = 2_000_000
_FILES_SKIMMED = 1_000


@dataclass(frozen=True)
class Order:
    """What to do. output: a folder, a file of a known ending, or - for standard output. kind: of all input files."""

    input: str
    output: str
    columns: Columns = field(default_factory=Columns)
    include: Sequence[str] = ("scores",)
    kind: formats.Kind | None = None
    written: Format = field(default_factory=lambda: Format("jsonl"))
    shard_rows: int = 10_000


@dataclass(frozen=True)
class Outcome:
    """rows: that the output has; errors: those of them that could not be scored."""

    rows: int
    errors: int


def sources(order: Order) -> list[Source]:
    """The files; those that can be checked in advance are readable. Raises InputError."""
    found = inputs.find(order.input, order.kind)
    for source in found[:_FILES_SKIMMED]:
        readers.skim(source, order.columns)
    return found


def run(order: Order, detector: Detector, found: Sequence[Source]) -> Outcome:
    """Score every row of the files. Raises InputError and OutputError; rows written until then stay."""
    recorder = Recorder(order.include, detector.version, detector.threshold_for)
    progress = Progress(found)
    try:
        if order.output == inputs.PIPE:
            return _to_pipe(order, detector, found, recorder, progress)
        out = Path(order.output)
        form = formats.of(out.name) if not out.is_dir() else None
        if form is None:
            return _to_folder(order, detector, found, recorder, progress, out, order.written)
        if form.kind not in formats.WRITTEN:
            raise OutputError(f"{out}: scores are written as {', '.join(formats.WRITTEN)}, or into a folder")
        return _to_file(order, detector, found, recorder, progress, out, form)
    finally:
        progress.end()


def _to_pipe(
    order: Order, detector: Detector, found: Sequence[Source], recorder: Recorder, progress: Progress
) -> Outcome:
    try:
        file = writers.writer(order.written, sys.stdout.buffer, recorder)
        for scored in scorer.score(detector, _rows(order, found, progress)):
            file.write(scored)
            _count(progress, scored)
        file.close()
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing more can be flushed to it
        raise OutputError("standard output was closed before the end") from None
    return Outcome(progress.rows, progress.errors)


def _to_file(  # noqa: PLR0913, PLR0917
    order: Order,
    detector: Detector,
    found: Sequence[Source],
    recorder: Recorder,
    progress: Progress,
    out: Path,
    form: Format,
) -> Outcome:
    """Write shards into a folder beside the file, which is deleted when the file is complete."""
    parts = out.with_name(f"{out.name}.parts")
    if out.exists() and not parts.exists():
        raise OutputError(f"{out} exists: name another file, or remove it")
    return _to_folder(order, detector, found, recorder, progress, parts, form, joined=out)


def _to_folder(  # noqa: PLR0913, PLR0917
    order: Order,
    detector: Detector,
    found: Sequence[Source],
    recorder: Recorder,
    progress: Progress,
    path: Path,
    form: Format,
    joined: Path | None = None,
) -> Outcome:
    try:
        folder = Folder(path, _description(order, detector, found, form), form)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})") from None
    try:
        if joined is not None and joined.exists():  # killed while it deleted the shards: the file is complete
            outcome = Outcome(*folder.done())
            folder.clear()
            return outcome
        done, _ = folder.done()
        rows = _rows(order, found, progress)
        skipped = sum(1 for _ in itertools.islice(rows, done))
        if skipped < done:
            raise InputError(f"{order.input} has {skipped} rows, fewer than the {done} that {path} has scores of")
        progress.begin()
        _write_shards(order, scorer.score(detector, rows), recorder, progress, folder, form)
        outcome = Outcome(*folder.done())
        if joined is not None:
            joining.join(folder.parts(), joined, form, recorder.schema)
            folder.clear()
        return outcome
    except (InputError, OutputError):
        raise
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OutputError(f"{path} cannot be written ({reason}): make room, and give the same command again") from None
    finally:
        folder.close()


def _write_shards(  # noqa: PLR0913, PLR0917
    order: Order,
    results: Iterator[Scored],
    recorder: Recorder,
    progress: Progress,
    folder: Folder,
    form: Format,
) -> None:
    first, _ = folder.done()
    while (head := next(results, None)) is not None:
        with folder.shard() as (stream, finish):
            file = writers.writer(form, stream, recorder)
            last, characters, errors = first, 0, 0
            for scored in itertools.chain([head], results):
                file.write(scored)
                _count(progress, scored)
                last += 1
                characters += len(scored.row.text)
                errors += scored.error is not None
                if last - first >= order.shard_rows or characters >= _SHARD_CHARACTERS:
                    break
            file.close()
            finish(first, last, errors)
        first = last


def _rows(order: Order, found: Sequence[Source], progress: Progress) -> Iterator[Row]:
    for source in found:
        yield from readers.read(source, order.columns, progress.at)
        progress.next_file(source)


def _count(progress: Progress, scored: Scored) -> None:
    progress.add(0 if scored.scores is None else len(scored.scores), error=scored.error is not None)


def _description(order: Order, detector: Detector, found: Sequence[Source], form: Format) -> dict[str, Any]:
    """The description of a run, which must be equal for it to be resumed. Files by name, size and modification time."""
    run = {
        "model_version": detector.version,
        "calibration": detector.calibration.to_json() if detector.calibration else None,
        "files": [[source.name, source.size, source.stamp] for source in found],
        "format": form.suffix,
        "include": list(order.include),
        "text": order.columns.text,
        "id": order.columns.id,
        "shard_rows": order.shard_rows,
    }
    read: dict[str, Any] = json.loads(json.dumps(run))
    return read

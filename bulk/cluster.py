"""Scores files on a Ray cluster: Ray Data runs `bulk`'s readers, scorer and writers, and resumes.

A file is one read task, which yields its rows in blocks. A scorer is an actor that loads the model once. Ray's
checkpoints (`CheckpointConfig`, by the column `key`) say which rows are written; a file that was being written when its
worker ended is deleted and written again. Order is not kept: `key` is FILE:ROW.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from pyarrow import fs
from ray.data import ActorPoolStrategy, DataContext, Dataset
from ray.data.block import BlockMetadata
from ray.data.checkpoint import CheckpointConfig
from ray.data.datasource import BlockBasedFileDatasink, Datasource, ReadTask
from ray.exceptions import RayActorError, RayError, RayTaskError, UserCodeException

from bento import artifact, cpu
from bento.cpu import Cores
from bento.detector import Detector
from bento.settings import CpuSettings, Settings
from bulk import inputs, readers, records, scorer, writers
from bulk.errors import ClusterError, InputError, OutputError
from bulk.inputs import Source
from bulk.readers import Columns, Row
from bulk.run import Order, Outcome, sources

_BLOCK_ROWS, _BLOCK_CHARACTERS = 1_000, 2_000_000
# Readers and writers mostly wait for I/O. They request no CPU, because waiting for a scorer's CPU would never end.
_LIGHT = {"num_cpus": 0}
# If a scorer is lost with its node, the pipeline ends and restarts with the rows that are not written. Ray itself would
# keep the started work for a node that may never return.
_ENDS = {"max_restarts": 0, "max_task_retries": 0}
_ATTEMPTS = 10
_SETTLES_S = 5.0  # until Ray knows that a node is lost
_READ = pa.schema([(name, pa.string()) for name in ("key", "id", "text", "error")])


logger = logging.getLogger("wordtell")


@dataclass(frozen=True)
class Sizes:
    """Scorers, and CPUs of each."""

    workers: int
    cpus: int


def sizes(nodes: Sequence[int], settings: CpuSettings, workers: int | None = None) -> Sizes:
    """The plan for nodes with these numbers of CPUs. One CPU of every node is left for readers and Ray's own processes.

    If all nodes have one CPU, one node is left. Raises ClusterError if there are too few.
    """
    free = [node for node in nodes if node > 1]
    if free:
        rooms = [node - 1 for node in free]
    elif len(nodes) > 1:
        rooms = [1] * (len(nodes) - 1)
    else:
        raise ClusterError(f"the cluster has {sum(nodes)} CPUs; scorers need one and readers one more: add a node")
    if settings.lanes:
        plan = cpu.plan(Cores(min(nodes), None, None, None), settings)
        cpus = plan.lanes * plan.threads_per_lane
    else:
        cpus = min(rooms)
    most = sum(room // cpus for room in rooms)
    if most < (workers or 1):
        have = ", ".join(map(str, nodes))
        raise ClusterError(
            f"{workers or 1} scorers of {cpus} CPUs do not fit beside readers on nodes of {have} CPUs:"
            " lower --workers or cpu.lanes, or add nodes"
        )
    return Sizes(workers or most, cpus)


def run(order: Order, settings: Settings, address: str | None, workers: int | None) -> Outcome:
    """Score every row on a cluster. Raises BulkError."""
    if inputs.PIPE in (order.input, order.output):
        raise InputError("a cluster reads files, not pipes: name a folder or a URI that all its nodes can see")
    found = sources(order)
    _claim(order, settings, found)
    try:
        ray.init(address=address, logging_level=logging.WARNING, ignore_reinit_error=True)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(f"no Ray cluster at {address or 'RAY_ADDRESS'} ({str(error).splitlines()[0]})") from None
    context = DataContext.get_current()
    context.checkpoint_config = checkpoints = CheckpointConfig(
        "key", _absolute(order.output) + "/_checkpoint", delete_checkpoint_on_success=False
    )
    checkpoints.checkpoint_actor_pool_max_size = 1  # it takes a CPU
    checkpoints.checkpoint_actor_memory_bytes = 128 << 20
    for attempt in range(_ATTEMPTS):
        size = sizes(_nodes(), settings.cpu, workers if attempt == 0 else None)
        sink = _Sink(_absolute(order.output), order)
        try:
            scored(_Files(found, order.columns), order, settings, size).write_datasink(sink, ray_remote_args=_LIGHT)
        except RayError as error:
            if not _is_of_a_worker(error):
                raise _cause(error) from None
            logger.warning("a worker ended (%s): once more with what is left of the cluster", type(error).__name__)
            time.sleep(_SETTLES_S)
        else:
            return _outcome(_absolute(order.output))
    raise ClusterError(f"workers ended {_ATTEMPTS} times: see Ray's log, and give the same command to go on")


def scored(files: Datasource, order: Order, settings: Settings, size: Sizes) -> Dataset:
    """The pipeline without its writer."""
    read = ray.data.read_datasource(files, ray_remote_args=_LIGHT, concurrency=2 * size.workers)
    plan = settings.model_copy(update={"cpu": settings.cpu.model_copy(update={"lanes": size.cpus})})
    found: Dataset = read.map_batches(
        _Scorer,
        fn_constructor_args=(plan, tuple(order.include)),
        batch_size=_BLOCK_ROWS,
        batch_format="pyarrow",
        num_cpus=size.cpus,
        **_ENDS,
        compute=ActorPoolStrategy(min_size=1, max_size=size.workers, initial_size=size.workers),
    )
    return found


class _Scorer:
    """An actor: one model, loaded once."""

    def __init__(self, settings: Settings, include: Sequence[str]) -> None:
        self._detector = Detector.load(settings)
        self._recorder = records.Recorder(include, self._detector.version, self._detector.threshold_for)
        self._schema = pa.schema([("key", pa.string()), *self._recorder.schema])

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        given = (Row(**fields) for fields in batch.to_pylist())
        rows = [{"key": found.row.key, **self._recorder.values(found)} for found in scorer.score(self._detector, given)]
        yield writers.table(rows, self._schema)


class _Files(Datasource):
    """Files by `bulk`'s readers, one read task each."""

    def __init__(self, found: Sequence[Source], columns: Columns) -> None:
        super().__init__()
        self._found, self._columns = found, columns

    def estimate_inmemory_data_size(self) -> int | None:
        return sum(source.size or 0 for source in self._found)

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        return [self._task(source) for source in self._found]

    def _task(self, source: Source) -> ReadTask:
        metadata = BlockMetadata(
            num_rows=None, size_bytes=source.size, input_files=(source.name,), exec_stats=None, task_exec_stats=None
        )
        return ReadTask(partial(_blocks, source, self._columns), metadata, schema=_READ)


def _blocks(source: Source, columns: Columns) -> Iterator[pa.Table]:
    rows: list[dict[str, Any]] = []
    characters = 0
    for row in readers.read(source, columns):
        rows.append({"key": row.key, "id": str(row.id), "text": row.text, "error": row.error})
        characters += len(row.text)
        if len(rows) >= _BLOCK_ROWS or characters >= _BLOCK_CHARACTERS:
            yield writers.table(rows, _READ)
            rows, characters = [], 0
    if rows:
        yield writers.table(rows, _READ)


class _Sink(BlockBasedFileDatasink):
    """Writes one file for each write task; a file name in `_errors` has the number of errors in it."""

    def __init__(self, path: str, order: Order) -> None:
        super().__init__(path, file_format=order.written.kind)
        self._order = order

    def write_block_to_file(self, block: Any, file: Any) -> None:
        writers.write_table(self._order.written, block.to_arrow(), file)

    def write(self, blocks: Any, ctx: Any) -> Any:
        kept = [block for block in blocks if len(block)]  # an empty one has no columns
        errors = sum(len(block) - block["error"].null_count for block in kept)
        if errors:  # before the file, under a name that a repeated task gives again
            name = self.filename_provider.get_filename_for_task(ctx.kwargs["write_uuid"], ctx.task_idx)
            self.filesystem.create_dir(f"{self.path}/_errors")
            with self.filesystem.open_output_stream(f"{self.path}/_errors/{name.rsplit('.', 1)[0]}-{errors}"):
                pass
        return super().write(kept, ctx)


def _outcome(output: str) -> Outcome:
    """Counts of everything that is written, by this call and earlier ones, from Ray's checkpoints."""
    system, path = fs.FileSystem.from_uri(output)
    rows, errors, written = 0, 0, set()
    for one in system.get_file_info(fs.FileSelector(f"{path}/_checkpoint", allow_not_found=True)):
        if one.path.endswith(".parquet") and ".pending." not in one.path:
            written.add(one.base_name.removesuffix(".parquet"))
            rows += pq.read_metadata(one.path, filesystem=system).num_rows
    for one in system.get_file_info(fs.FileSelector(f"{path}/_errors", allow_not_found=True)):
        base, _, count = one.base_name.rpartition("-")
        errors += int(count) if base in written else 0
    return Outcome(rows, errors)


def _claim(order: Order, settings: Settings, found: Sequence[Source]) -> None:
    """Write the run's description into its folder, or compare it. Raises OutputError and ArtifactError."""
    manifest = artifact.load(settings.model.checkpoint_dir).manifest
    run = {
        "cluster": True,
        "model": f"{manifest.name}-{manifest.precision}-{manifest.digest}",
        "files": [[source.name, source.size, source.stamp] for source in found],
        "format": order.written.suffix,
        "include": list(order.include),
        "text": order.columns.text,
        "id": order.columns.id,
    }
    try:
        system, path = fs.FileSystem.from_uri(_absolute(order.output))
        system.create_dir(path)
        inside = system.get_file_info(fs.FileSelector(path))
        name = f"{path}/_run.json"
        if not inside:
            with system.open_output_stream(name) as stream:
                stream.write(json.dumps(run, indent=1).encode())
            return
        if all(one.path != name for one in inside):
            raise OutputError(f"{order.output} holds other files: name a new folder")
        with system.open_input_file(name) as stream:
            before = json.loads(stream.read())
    except OutputError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise OutputError(f"{order.output} cannot be used ({str(error).splitlines()[0]})") from None
    if different := [key for key in sorted({*before, *run}) if before.get(key) != run.get(key)]:
        raise OutputError(f"{order.output} is of another run ({', '.join(different)} differ): name a new folder")


def _is_of_a_worker(error: RayError) -> bool:
    """Whether a process or a machine failed, and not code, which would fail again.

    Ray has a dozen errors for the first, and wraps them: so it is all that is not the second.
    """
    if isinstance(error, UserCodeException) or "raised in its creation task" in str(error):
        return False
    return not isinstance(error, RayTaskError) or isinstance(error.cause, RayActorError)


def _nodes() -> list[int]:
    """CPUs of each live node that has any."""
    nodes = ray.nodes()
    cpus = (int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"])
    return [count for count in cpus if count]


def _absolute(path: str) -> str:
    """A path in a form that every node of the cluster can use."""
    return path if "://" in path else os.path.abspath(path)


def _cause(error: BaseException) -> ClusterError:
    """The last line says what went wrong, the others where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ClusterError(f"the cluster gave up ({type(error).__name__}: {lines[-1] if lines else 'no reason given'})")

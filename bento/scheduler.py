"""Windows of all requests in one place, and the lanes that run them.

First version: a lane is a thread that runs one window at a time; requests take turns, a window each, so that a short
one does not wait for a long one. One window a run is the fastest way on CPUs for long texts, and keeps a text's
scores free of its neighbours even where an INT8 graph has one activation scale for a whole tensor.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from bento import metrics
from bento.errors import ModelNotReady, Overloaded
from bento.runners import Runner
from bento.types import FloatArray, MicroBatch


@dataclass(frozen=True)
class Done:
    """The logits [length, labels] of each window of a request, in the order given, and the seconds to its first run."""

    logits: tuple[FloatArray, ...]
    queue_s: float


@dataclass(eq=False)
class _Job:
    """What is left to do of one request. Guarded by the scheduler's lock."""

    batches: Sequence[MicroBatch]
    on_window: Callable[[], None]
    waiting: deque[int]
    failed: bool = False
    results: dict[int, FloatArray] = field(default_factory=dict)
    future: Future[Done] = field(default_factory=Future)
    submitted: float = field(default_factory=time.perf_counter)
    queue_s: float | None = None


class Scheduler:
    """Runs windows on `lanes` threads until closed."""

    def __init__(self, runner: Runner, lanes: int, max_queue_tokens: int) -> None:
        self._runner = runner
        self._max_queue_tokens = max_queue_tokens
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._queue_tokens = 0
        self._tokens_run = 0
        self._seconds_run = 0.0
        self._closed = False
        self._lanes = [threading.Thread(target=self._lane, name=f"lane-{i}", daemon=True) for i in range(lanes)]
        metrics.LANES.set(lanes)
        for lane in self._lanes:
            lane.start()

    @property
    def tokens_per_second(self) -> float | None:
        """Speed of all lanes together, measured since the start; None before the first run."""
        with self._changed:
            return self._speed()

    def submit(self, batches: Sequence[MicroBatch], on_window: Callable[[], None] = lambda: None) -> Future[Done]:
        """Queue one request's windows (at least one). Cancelling the future drops those that are not yet running.

        `on_window` is called from a lane after each window. Raises Overloaded, queuing nothing, when others wait and
        this request would take the backlog over its limit, and ModelNotReady once closed. The future raises what the
        runner raised.
        """
        longest_first = sorted(range(len(batches)), key=lambda i: -batches[i].tokens)
        job = _Job(batches, on_window, deque(longest_first))
        tokens = sum(batch.tokens for batch in batches)
        with self._changed:
            if self._closed:
                raise ModelNotReady("the server is shutting down")
            self._drop_cancelled()
            if self._queue_tokens and self._queue_tokens + tokens > self._max_queue_tokens:
                raise Overloaded(self._queue_tokens, self._max_queue_tokens, self._retry_after())
            self._jobs.append(job)
            self._count_queued(tokens)
            self._changed.notify_all()
        return job.future

    def close(self) -> None:
        """Drop what waits, finish what runs, end the lanes."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.future.cancel()
            self._drop_cancelled()
            self._changed.notify_all()
        for lane in self._lanes:
            lane.join()

    def _lane(self) -> None:
        while (taken := self._take()) is not None:
            job, index = taken
            batch = job.batches[index]
            started = time.perf_counter()
            try:
                with metrics.LANES_BUSY.track_inprogress():
                    logits = self._runner.run(batch)[0]
            except Exception as error:
                self._fail(job, error)
                continue
            self._finish(job, index, logits, time.perf_counter() - started)

    def _take(self) -> tuple[_Job, int] | None:
        """The next window of the request whose turn it is; waits for one. None: the scheduler is closed."""
        with self._changed:
            while True:
                self._drop_cancelled()
                if self._jobs:
                    break
                if self._closed:
                    return None
                self._changed.wait()
            job = self._jobs.popleft()
            index = job.waiting.popleft()
            if job.waiting:
                self._jobs.append(job)
            self._count_queued(-job.batches[index].tokens)
            if job.queue_s is None:
                job.queue_s = time.perf_counter() - job.submitted
                metrics.STAGE_SECONDS.labels("queue").observe(job.queue_s)
            return job, index

    def _finish(self, job: _Job, index: int, logits: FloatArray, seconds: float) -> None:
        tokens = job.batches[index].tokens
        metrics.TOKENS.inc(tokens)
        metrics.WINDOWS.inc()
        metrics.STAGE_SECONDS.labels("run").observe(seconds)
        with self._changed:
            self._tokens_run += tokens
            self._seconds_run += seconds
            job.results[index] = logits
            last = len(job.results) == len(job.batches)
        job.on_window()
        if last and job.future.set_running_or_notify_cancel():
            logits_in_order = tuple(job.results[i] for i in range(len(job.batches)))
            job.future.set_result(Done(logits_in_order, job.queue_s or 0.0))

    def _fail(self, job: _Job, error: Exception) -> None:
        """One failed window fails its request, and no other."""
        with self._changed:
            first = not job.failed
            job.failed = True
            self._drop(job)
        if first and job.future.set_running_or_notify_cancel():
            job.future.set_exception(error)

    def _drop_cancelled(self) -> None:
        for job in [job for job in self._jobs if job.future.cancelled()]:
            self._drop(job)

    def _drop(self, job: _Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
            self._count_queued(-sum(job.batches[i].tokens for i in job.waiting))
        job.waiting.clear()

    def _count_queued(self, tokens: int) -> None:
        self._queue_tokens += tokens
        metrics.QUEUE_TOKENS.set(self._queue_tokens)

    def _speed(self) -> float | None:
        return len(self._lanes) * self._tokens_run / self._seconds_run if self._seconds_run else None

    def _retry_after(self) -> int:
        speed = self._speed()
        return max(1, math.ceil(self._queue_tokens / speed)) if speed else 1

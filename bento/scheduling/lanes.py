"""Lanes: threads that compute the windows of all requests, one run at a time.

A run is one long window, or several short ones if that is faster and does not change their scores. On a CPU it has no
more tokens than the longest window, so a lane is free again after the time of one longest window at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress

from bento import metrics, tracing
from bento.engines import Batching, Runner
from bento.errors import ModelNotReady, Overloaded
from bento.scheduling.backlog import Backlog, Done, Item, Job, Text
from bento.scheduling.costs import Costs
from bento.settings import ApiSettings
from bento.types import FloatArray, IntArray

logger = logging.getLogger("wordtell")


class Scheduler:
    """Runs windows on `lanes` threads until closed."""

    def __init__(self, runner: Runner, limits: ApiSettings, longest: int) -> None:
        """longest: of the windows that will come, in tokens."""
        self._runner = runner
        self._limits = limits
        self._engine = runner.abilities
        self._most_tokens = min(limits.max_batch_tokens, self._engine.run_tokens or longest)
        self._changed = threading.Condition()
        self._backlog = Backlog()
        # Not in a callback of the future: it would hold its text, the text holds it, and only a collector ends that.
        self._unfinished: dict[Future[Done], Text] = {}
        self._costs = Costs()
        self._wide_speed: float | None = None
        self._reserved = 0
        self._busy = 0
        self._closed = False
        self._lanes = [
            threading.Thread(target=self._lane, name=f"lane-{i}", daemon=True) for i in range(self._engine.lanes)
        ]
        metrics.LANES.set(len(self._lanes))
        for lane in self._lanes:
            lane.start()

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens per second of all lanes together, over the latest runs; None before the first."""
        with self._changed:
            return self._speed()

    @property
    def whole(self) -> bool:
        """Whether every lane still runs. A lane survives any exception of a run, so False means a fault in this
        file."""
        return self._closed or all(lane.is_alive() for lane in self._lanes)

    def expect_room(self, tokens: int, likely: int | None = None) -> None:
        """Raises Overloaded when others wait and these tokens would take the backlog over its limit.

        likely: their probable number, if `tokens` is the smallest possible; Retry-After is computed for it. Raises
        ModelNotReady once closed.
        """
        with self._changed:
            self._expect_open()
            waiting = self._backlog.tokens + self._reserved
            if tokens and waiting and waiting + tokens > self._limits.max_queue_tokens:
                limit = self._limits.max_queue_tokens
                raise Overloaded(waiting, limit, self._seconds_until_room(waiting, likely or tokens))

    @contextmanager
    def admission(self, tokens: int, *, background: bool = False) -> Iterator[Job]:
        """A request of about this many tokens, which the block submits in parts; they count for the backlog from now
        on.

        Raises what `expect_room` raises. Background work does not count, and is always admitted.
        """
        with self._changed:
            self.expect_room(0 if background else tokens)
            job = Job(background=background, span=tracing.current())
            self._expect(job, tokens)
        try:
            yield job
        finally:
            with self._changed:
                self._expect(job, 0)

    def submit(
        self,
        texts: Sequence[Sequence[IntArray]],
        on_window: Callable[[int, FloatArray], None] = lambda index, logits: None,
        job: Job | None = None,
    ) -> list[Future[Done]]:
        """Queue texts of one request, each as its windows [length], at least one. One future a text.

        Cancelling a future drops what of its text is not yet running; it raises what the runner raised, or `on_window`,
        which is called from a lane after each window, with its index in its text and its logits.
        job: the request that these belong to; without one they are all
        of it. Raises ModelNotReady once closed.
        """
        job = job or Job()
        if job.submitted is None:
            job.submitted = time.perf_counter()
        queued = [Text(job, windows, on_window) for windows in texts]
        with self._changed:
            self._expect_open()
            self._backlog.add(job, queued)
            self._unfinished |= {text.future: text for text in queued}
            self._expect(job, max(0, job.expected - sum(text.waiting_tokens for text in queued)))
            self._changed.notify_all()
        for text in queued:
            text.future.add_done_callback(self._forget)
        return [text.future for text in queued]

    def close(self) -> None:
        """Accept no more texts, finish the current runs, drop what waits, end the lanes."""
        with self._changed:
            self._closed = True
            while batch := self._backlog.take(self._engine, lambda _: 1, 0):
                batch[0].text.future.cancel()
            self._changed.notify_all()
        for lane in self._lanes:
            lane.join()

    def _lane(self) -> None:
        """Compute runs until closed. An exception fails only the texts of its run."""
        while True:
            batch: list[Item] = []
            try:
                if (alone := self._take(batch)) is None:
                    return
                with metrics.LANES_BUSY.track_inprogress():
                    self._run(batch, alone)
            except (
                BaseException
            ) as error:  # a lane that ends would leave its texts, and all later ones, without an answer
                logger.exception("a lane failed outside the model")
                for item in batch:
                    _fail(item.text, error)
                if not batch:
                    time.sleep(0.1)  # nobody's round: do not fill the log in a tight loop
            finally:
                if batch:
                    with self._changed:
                        self._busy -= 1

    def _take(self, batch: list[Item]) -> bool | None:
        """Put the windows of the next run into `batch`; return whether nothing else waits. Waits; None once closed."""
        with self._changed:
            while not (taken := self._backlog.take(self._engine, self._count_for, self._most_tokens)):
                if self._closed:
                    return None
                self._changed.wait()
            alone = not self._busy and not self._backlog and not self._reserved
            batch += taken
            self._busy += 1
            self._show()
            now = time.perf_counter()
            for job in {id(item.text.job): item.text.job for item in batch}.values():
                if job.queue_s is None and job.submitted is not None:
                    job.queue_s = now - job.submitted
                    metrics.stage("queue", job.queue_s, [job.span])
            return alone

    def _run(self, batch: Sequence[Item], alone: bool) -> None:
        """One run of the model; if it fails, a run for each window, so that only the text at fault fails."""
        wide = alone and len(self._lanes) > 1
        started, worked = time.perf_counter(), time.thread_time()
        try:
            logits = self._runner.run([item.ids for item in batch], wide=wide)
        except Exception as error:  # whatever the engine raises
            if len(batch) > 1:
                for item in batch:
                    self._run([item], alone=False)
            else:
                _fail(batch[0].text, error)
            return
        self._count(batch, time.perf_counter() - started, time.thread_time() - worked, wide)
        for item, found in zip(batch, logits, strict=True):
            self._finish(item, found)

    def _count(self, batch: Sequence[Item], seconds: float, worked_s: float, wide: bool) -> None:
        """worked_s: how much of the time the lane's thread had a core."""
        tokens, longest = sum(map(len, batch)), max(map(len, batch))
        padding = longest * len(batch) - tokens if self._engine.batching is Batching.PADDED else 0
        metrics.TOKENS.inc(tokens)
        metrics.PADDING.inc(padding)
        metrics.WINDOWS.inc(len(batch))
        metrics.BATCH_WINDOWS.observe(len(batch))
        metrics.BATCH_TOKENS.observe(tokens + padding)
        requests = [item.text.job.span for item in batch]
        metrics.stage("run", seconds, requests, windows=len(batch), tokens=tokens)
        with self._changed:
            if wide:  # it is not a lane's speed, but the only measurement before the first load
                self._wide_speed = tokens / seconds
            else:
                # A lane that mostly waits has other threads compute for it, so its own CPU time is no measure.
                alone_s = worked_s if worked_s > seconds / 2 else seconds
                self._costs.observe(longest, len(batch), tokens, seconds, alone_s)

    def _finish(self, item: Item, logits: FloatArray) -> None:
        text = item.text
        with self._changed:
            text.results[item.index] = logits
            last = len(text.results) == len(text.windows)
        text.on_window(item.index, logits)
        if last:
            in_order = tuple(text.results[i] for i in range(len(text.windows)))
            with suppress(InvalidStateError):  # cancelled in this moment
                text.future.set_result(Done(in_order, text.job.queue_s or 0.0))

    def _forget(self, future: Future[Done]) -> None:
        with self._changed:
            self._backlog.forget(self._unfinished.pop(future))
            self._show()

    def _count_for(self, longest: int) -> int:
        most = min(self._limits.inference_batch_size, self._most_tokens // longest)
        if self._engine.run_tokens:  # it wants its runs full
            return max(1, most)
        return self._costs.count_for(longest, max(1, most))

    def _expect(self, job: Job, tokens: int) -> None:
        """Count this many tokens that a request has still to submit."""
        if not job.background:
            self._reserved += tokens - job.expected
        job.expected = tokens
        self._show()

    def _expect_open(self) -> None:
        if self._closed:
            raise ModelNotReady("the server is shutting down")

    def _show(self) -> None:
        metrics.QUEUE_TOKENS.set(self._backlog.tokens + self._reserved)

    def _speed(self) -> float | None:
        speed = self._costs.tokens_per_second
        return len(self._lanes) * speed if speed else self._wide_speed

    def _seconds_until_room(self, waiting: int, tokens: int) -> float:
        """Seconds until these tokens would be admitted if no other request came; 1 s while no speed is known.

        Assumes that lanes have their cores for themselves; now they share them with requests that are read and
        tokenised.
        """
        room = self._limits.max_queue_tokens - tokens
        ahead = waiting - room if room > 0 else waiting
        speed = self._speed()
        return ahead / speed if speed else 1.0


def _fail(text: Text, error: BaseException) -> None:
    with suppress(InvalidStateError):  # it has been cancelled, or another of its windows has failed
        text.future.set_exception(error)

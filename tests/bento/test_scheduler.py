"""Lanes share their time between requests, and one request's trouble is its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future

import numpy as np
import pytest

from bento.errors import ModelNotReady, Overloaded
from bento.scheduler import Done, Scheduler
from bento.types import MicroBatch
from tests.fakes import LookupRunner, logit

LIMIT = 1000
PATIENCE = 10.0


def window(*tokens: int) -> MicroBatch:
    row = np.array([tokens], dtype=np.int64)
    return MicroBatch(row, np.ones_like(row))


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for another thread, and fail when it never gets there."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


@pytest.fixture
def runner() -> LookupRunner:
    return LookupRunner(poison=99)


@pytest.fixture
def scheduler(runner: LookupRunner) -> Iterator[Scheduler]:
    scheduler = Scheduler(runner, lanes=1, max_queue_tokens=LIMIT)
    yield scheduler
    runner.gate.set()
    scheduler.close()


def hold(scheduler: Scheduler, runner: LookupRunner, *windows: MicroBatch) -> Future[Done]:
    """Submit, and return once the only lane is held at the first of these windows."""
    runner.gate.clear()
    seen = len(runner.batches)
    future = scheduler.submit(windows or [window(1)])
    eventually(lambda: len(runner.batches) > seen)
    return future


def test_logits_come_back_in_the_order_given(scheduler: Scheduler) -> None:
    done = scheduler.submit([window(4), window(5, 6, 7), window(8, 9)]).result(PATIENCE)
    assert [len(logits) for logits in done.logits] == [1, 3, 2]
    assert done.logits[1][:, 1] == pytest.approx([logit(5), logit(6), logit(7)])
    assert done.queue_s >= 0


def test_requests_take_turns(scheduler: Scheduler, runner: LookupRunner) -> None:
    first = hold(scheduler, runner, *[window(1)] * 50)
    second = scheduler.submit([window(2)])
    runner.gate.set()
    second.result(PATIENCE)
    ran = [int(batch.input_ids[0, 0]) for batch in runner.batches]
    assert ran.index(2) <= 2
    assert len(first.result(PATIENCE).logits) == 50


def test_a_request_runs_its_longest_window_first(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    future = scheduler.submit([window(1), window(1, 2, 3), window(1, 2)])
    runner.gate.set()
    future.result(PATIENCE)
    held.result(PATIENCE)
    assert [batch.tokens for batch in runner.batches] == [1, 3, 2, 1]


def test_a_poisonous_window_fails_its_request_alone(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    poisoned = scheduler.submit([window(99, 99, 99), window(5)])
    healthy = scheduler.submit([window(6)])
    runner.gate.set()
    with pytest.raises(RuntimeError, match="poison"):
        poisoned.result(PATIENCE)
    assert healthy.result(PATIENCE).logits[0][0, 1] == pytest.approx(logit(6))
    held.result(PATIENCE)
    assert 5 not in [int(batch.input_ids[0, 0]) for batch in runner.batches]


def test_cancelled_work_is_never_run(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    cancelled = scheduler.submit([window(7)] * 3)
    assert cancelled.cancel()
    runner.gate.set()
    held.result(PATIENCE)
    scheduler.submit([window(8)]).result(PATIENCE)
    assert 7 not in [int(batch.input_ids[0, 0]) for batch in runner.batches]


def test_a_request_cancelled_while_it_runs_leaves_the_lane_whole(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner, window(1), window(2))
    assert held.cancel()
    runner.gate.set()
    scheduler.submit([window(8)]).result(PATIENCE)
    with pytest.raises(CancelledError):
        held.result(0)


def test_over_the_backlog_a_request_is_refused_whole(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    waiting = scheduler.submit([window(*range(90))] * 10)  # 900 tokens
    with pytest.raises(Overloaded, match="900 tokens are waiting; the limit is 1000"):
        scheduler.submit([window(*range(90))] * 2)
    small = scheduler.submit([window(1, 2)])
    runner.gate.set()
    for future in (held, waiting, small):
        future.result(PATIENCE)


def test_an_idle_server_takes_a_request_over_the_limit(scheduler: Scheduler) -> None:
    assert len(scheduler.submit([window(*range(90))] * 20).result(PATIENCE).logits) == 20


def test_retry_after_is_the_backlog_at_the_speed_measured() -> None:
    class Slow(LookupRunner):
        def run(self, batch: MicroBatch) -> np.ndarray:
            time.sleep(batch.tokens / 1000)  # 1,000 tokens a second
            return super().run(batch)

    runner = Slow()
    scheduler = Scheduler(runner, lanes=1, max_queue_tokens=4000)
    scheduler.submit([window(*range(90))] * 3).result(PATIENCE)
    speed = scheduler.tokens_per_second
    assert speed is not None
    assert 500 < speed <= 1000
    hold(scheduler, runner)
    waiting = scheduler.submit([window(*range(90))] * 40)  # 3,600 tokens
    with pytest.raises(Overloaded) as refused:
        scheduler.submit([window(*range(90))] * 5)
    assert 3600 / speed <= refused.value.retry_after <= 3600 / speed + 1
    assert refused.value.headers() == {"Retry-After": str(refused.value.retry_after)}
    waiting.cancel()
    runner.gate.set()
    scheduler.close()


def test_on_window_is_told_of_each(scheduler: Scheduler) -> None:
    told: list[str] = []
    scheduler.submit([window(1)] * 5, on_window=lambda: told.append(threading.current_thread().name)).result(PATIENCE)
    assert told == ["lane-0"] * 5


def test_lanes_run_at_the_same_time() -> None:
    class Meeting(LookupRunner):
        meeting = threading.Barrier(3)

        def run(self, batch: MicroBatch) -> np.ndarray:
            self.meeting.wait(PATIENCE)  # broken, and so an error, unless three are here at once
            return super().run(batch)

    scheduler = Scheduler(Meeting(), lanes=3, max_queue_tokens=LIMIT)
    assert len(scheduler.submit([window(1)] * 3).result(PATIENCE).logits) == 3
    scheduler.close()


def test_closing_drops_what_waits_and_finishes_what_runs(runner: LookupRunner) -> None:
    scheduler = Scheduler(runner, lanes=1, max_queue_tokens=LIMIT)
    running = hold(scheduler, runner)
    waiting = scheduler.submit([window(2)])
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    eventually(waiting.cancelled)
    runner.gate.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert len(running.result(0).logits) == 1
    with pytest.raises(ModelNotReady, match="shutting down"):
        scheduler.submit([window(1)])

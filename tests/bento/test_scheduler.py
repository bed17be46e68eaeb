"""Lanes share their time between requests, and one request's trouble is its own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future

import numpy as np
import pytest

from bento.api import statuses
from bento.engines import Batching
from bento.errors import ModelNotReady, Overloaded
from bento.scheduling.backlog import Done, Job
from bento.scheduling.lanes import Scheduler
from bento.settings import ApiSettings
from bento.types import FloatArray, IntArray
from tests.fakes import LookupRunner, can, logit

LIMITS = ApiSettings(max_queue_tokens=1000)
LONGEST = 600
PATIENCE = 10.0


def window(token: int, length: int = 1) -> IntArray:
    return np.full(length, token, dtype=np.int64)


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
    scheduler = Scheduler(runner, LIMITS, LONGEST)
    yield scheduler
    runner.gate.set()
    scheduler.close()


def hold(scheduler: Scheduler, runner: LookupRunner, *windows: IntArray) -> list[Future[Done]]:
    """Submit each window as a text, and return once the only lane is held at the first."""
    runner.gate.clear()
    seen = len(runner.batches)
    futures = scheduler.submit([[given] for given in windows or [window(1)]])
    eventually(lambda: len(runner.batches) > seen)
    return futures


def first_tokens(runner: LookupRunner) -> list[int]:
    """Of every window that was run."""
    return [int(ids[0]) for batch in runner.batches for ids in batch]


def test_logits_come_back_in_the_order_given(scheduler: Scheduler) -> None:
    (future,) = scheduler.submit([[window(4), window(5, 3), window(8, 2)]])
    done = future.result(PATIENCE)
    assert [len(logits) for logits in done.logits] == [1, 3, 2]
    assert done.logits[1][:, 1] == pytest.approx([logit(5)] * 3)
    assert done.queue_s >= 0


def test_requests_take_turns_by_tokens(scheduler: Scheduler, runner: LookupRunner) -> None:
    large = hold(scheduler, runner, *[window(1, 600)] * 10)
    (small,) = scheduler.submit([[window(2, 50)]])
    runner.gate.set()
    small.result(PATIENCE)
    assert first_tokens(runner).index(2) <= 2
    assert len(large[-1].result(PATIENCE).logits) == 1


def test_work_in_the_background_has_a_tenth_of_the_tokens(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    slow = scheduler.submit([[window(2, 500)]] * 5, job=Job(background=True))
    fast = scheduler.submit([[window(3, 500)]] * 40)
    runner.gate.set()
    for future in (*held, *slow, *fast):
        future.result(PATIENCE)
    early = first_tokens(runner)[1:34]
    assert early.count(3) == pytest.approx(10 * early.count(2), abs=4)


def test_a_request_runs_its_longest_window_first(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    (future,) = scheduler.submit([[window(1), window(1, 3), window(1, 2)]])
    runner.gate.set()
    future.result(PATIENCE)
    held[0].result(PATIENCE)
    assert [len(batch[0]) for batch in runner.batches] == [1, 3, 2, 1]


def test_a_poisonous_text_fails_alone(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    poisoned, other = scheduler.submit([[window(99, 3), window(5)], [window(7)]])
    (healthy,) = scheduler.submit([[window(6)]])
    runner.gate.set()
    with pytest.raises(RuntimeError, match="poison"):
        poisoned.result(PATIENCE)
    assert healthy.result(PATIENCE).logits[0][0, 1] == pytest.approx(logit(6))
    for future in (*held, other):
        future.result(PATIENCE)
    assert 5 not in first_tokens(runner)


@pytest.mark.parametrize("batching", [Batching.PADDED, Batching.PACKED])
def test_a_poisonous_text_fails_alone_in_a_micro_batch(batching: Batching) -> None:
    runner = LookupRunner(poison=99, batching=batching)
    scheduler = Scheduler(runner, LIMITS, LONGEST)
    for _ in range(3):  # what one window costs is known then, and two are tried
        scheduler.submit([[window(4)]])[0].result(PATIENCE)
    held = hold(scheduler, runner, window(1, 300))
    (poisoned,), (healthy,) = scheduler.submit([[window(99)]]), scheduler.submit([[window(6)]])
    runner.gate.set()
    assert healthy.result(PATIENCE).logits[0][0, 1] == pytest.approx(logit(6))
    with pytest.raises(RuntimeError, match="poison"):
        poisoned.result(PATIENCE)
    held[0].result(PATIENCE)
    assert any(len(batch) == 2 for batch in runner.batches)
    scheduler.close()


def test_cancelled_work_is_never_run(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    cancelled, kept = scheduler.submit([[window(7)] * 3, [window(5)]])
    assert cancelled.cancel()
    runner.gate.set()
    held[0].result(PATIENCE)
    kept.result(PATIENCE)
    scheduler.submit([[window(8)]])[0].result(PATIENCE)
    assert 7 not in first_tokens(runner)


def test_a_text_cancelled_while_it_runs_leaves_the_lane_whole(scheduler: Scheduler, runner: LookupRunner) -> None:
    (held,) = hold(scheduler, runner)
    assert held.cancel()
    runner.gate.set()
    scheduler.submit([[window(8)]])[0].result(PATIENCE)
    with pytest.raises(CancelledError):
        held.result(0)


def test_over_the_backlog_a_request_is_refused(scheduler: Scheduler, runner: LookupRunner) -> None:
    held = hold(scheduler, runner)
    waiting = scheduler.submit([[window(1, 90)]] * 10)  # 900 tokens
    with (
        pytest.raises(Overloaded, match="900 tokens are waiting; the limit is 1000"),
        scheduler.admission(180),
    ):
        pass
    with (
        scheduler.admission(60),
        pytest.raises(Overloaded, match="960 tokens are waiting"),  # room is kept for who was admitted
        scheduler.admission(60),
    ):
        pass
    with scheduler.admission(60):
        pass
    waiting[0].cancel()  # and what was given up is no backlog
    with scheduler.admission(180):
        pass
    runner.gate.set()
    for future in (*held, *waiting[1:]):
        future.result(PATIENCE)


def test_an_idle_server_takes_a_request_over_the_limit(scheduler: Scheduler) -> None:
    with scheduler.admission(5000):
        futures = scheduler.submit([[window(1, 500)]] * 10)
    assert [len(future.result(PATIENCE).logits) for future in futures] == [1] * 10


class Slow(LookupRunner):
    """1,000 tokens a second."""

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        time.sleep(sum(map(len, windows)) / 1000)
        return super().run(windows, wide)


def test_retry_after_is_when_there_would_be_room() -> None:
    runner = Slow()
    scheduler = Scheduler(runner, ApiSettings(max_queue_tokens=4000), LONGEST)
    for future in scheduler.submit([[window(1, 90)]] * 3):
        future.result(PATIENCE)
    speed = scheduler.tokens_per_second
    assert speed is not None
    assert 500 < speed <= 1000
    hold(scheduler, runner)
    waiting = scheduler.submit([[window(1, 90)]] * 40)  # 3,600 tokens
    with pytest.raises(Overloaded) as refused, scheduler.admission(2400):
        pass
    assert refused.value.retry_after_s == pytest.approx(2000 / speed)  # until 1,600 are left
    milliseconds = math.ceil(refused.value.retry_after_s * 1000)
    assert statuses.headers(refused.value) == {
        "Retry-After": str(math.ceil(milliseconds / 1000)),
        "Retry-After-Ms": str(milliseconds),
    }
    with pytest.raises(Overloaded) as too_large, scheduler.admission(9000):
        pass
    assert too_large.value.retry_after_s == pytest.approx(3600 / speed)  # admitted when nobody waits
    for future in waiting:
        future.cancel()
    runner.gate.set()
    scheduler.close()


def test_on_window_is_told_of_each(scheduler: Scheduler) -> None:
    told: list[str] = []
    futures = scheduler.submit([[window(1)]] * 5, on_window=lambda *_: told.append(threading.current_thread().name))
    for future in futures:
        future.result(PATIENCE)
    assert told == ["lane-0"] * 5


def test_lanes_run_at_the_same_time() -> None:
    class Meeting(LookupRunner):
        meeting = threading.Barrier(3)

        def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
            self.meeting.wait(PATIENCE)  # broken, and so an error, unless three are here at once
            return super().run(windows, wide)

    scheduler = Scheduler(Meeting(lanes=3), LIMITS, LONGEST)
    for future in scheduler.submit([[window(1)]] * 3):
        future.result(PATIENCE)
    scheduler.close()


def test_only_a_lone_window_on_an_idle_server_uses_all_cores(runner: LookupRunner) -> None:
    runner.abilities = can(lanes=2)
    scheduler = Scheduler(runner, LIMITS, LONGEST)
    scheduler.submit([[window(1)]])[0].result(PATIENCE)
    runner.gate.clear()
    together = scheduler.submit([[window(2)], [window(3)]])
    eventually(lambda: len(runner.batches) == 3)
    runner.gate.set()
    for future in together:
        future.result(PATIENCE)
    assert runner.wide == [True, False, False]
    scheduler.close()


def test_closing_drops_what_waits_and_finishes_what_runs(runner: LookupRunner) -> None:
    scheduler = Scheduler(runner, LIMITS, LONGEST)
    (running,) = hold(scheduler, runner)
    (waiting,) = scheduler.submit([[window(2)]])
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    eventually(waiting.cancelled)
    runner.gate.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert len(running.result(0).logits) == 1
    with pytest.raises(ModelNotReady, match="shutting down"):
        scheduler.submit([[window(1)]])


def test_a_lane_outlives_whatever_a_round_raises(scheduler: Scheduler, runner: LookupRunner) -> None:
    class Worse(BaseException):
        pass

    def raises(*_: object) -> None:
        raise Worse

    (fails,) = scheduler.submit([[window(1)]], on_window=raises)
    with pytest.raises(Worse):
        fails.result(PATIENCE)
    assert scheduler.whole
    assert scheduler.submit([[window(2)]])[0].result(PATIENCE).logits


def test_a_lane_outlives_logits_that_are_too_few() -> None:
    class Short(LookupRunner):
        def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
            return super().run(windows, wide)[1:]

    scheduler = Scheduler(Short(), LIMITS, LONGEST)
    with pytest.raises(ValueError, match="zip"):
        scheduler.submit([[window(1)]])[0].result(PATIENCE)
    assert scheduler.whole
    assert scheduler._busy == 0
    scheduler.close()


def test_a_text_cancelled_while_its_run_fails_leaves_the_lane_whole() -> None:
    futures: list[Future[Done]] = []

    class Cancels(LookupRunner):
        def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
            if windows[0][0] == 1:
                self.gate.wait()
                futures[0].cancel()
                raise RuntimeError("late")
            return super().run(windows, wide)

    runner = Cancels()
    runner.gate.clear()
    scheduler = Scheduler(runner, LIMITS, LONGEST)
    futures += scheduler.submit([[window(1)]])
    runner.gate.set()
    assert scheduler.submit([[window(2)]])[0].result(PATIENCE).logits
    assert scheduler.whole
    scheduler.close()


def test_a_lane_that_ended_is_told(scheduler: Scheduler) -> None:
    assert scheduler.whole
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    scheduler._lanes.append(ended)
    assert not scheduler.whole

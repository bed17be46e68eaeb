"""docs/jobs.md promises what tests show, and the scheduler keeps jobs behind requests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from bento.errors import Overloaded
from bento.scheduling.lanes import Scheduler
from bento.settings import ROOT, ApiSettings
from tests.fakes import LookupRunner

PAGE = (ROOT / "docs" / "jobs.md").read_text()
PROMISES = re.findall(r"^- \*\*(.+?)\*\*", PAGE, re.MULTILINE)


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_a_test_of_its_name(promise: str) -> None:
    name = re.sub(r"\W+", "_", promise.lower()).strip("_")
    files = [*(ROOT / "tests" / "jobs").glob("test_*.py"), ROOT / "tests" / "http" / "test_jobs.py"]
    assert any(re.search(rf"^def test_{name}\(", path.read_text(), re.MULTILINE) for path in files), name


def test_there_are_promises() -> None:
    assert len(PROMISES) == 21


@pytest.fixture
def runner() -> LookupRunner:
    return LookupRunner()


@pytest.fixture
def scheduler(runner: LookupRunner) -> Iterator[Scheduler]:
    one = Scheduler(runner, ApiSettings(max_queue_tokens=1000), 64)
    yield one
    runner.gate.set()
    one.close()


def windows(count: int, token: int, length: int = 50) -> list[list[np.ndarray]]:
    return [[np.full(length, token, dtype=np.int64)] for _ in range(count)]


def test_no_request_is_refused_because_of_a_job(scheduler: Scheduler, runner: LookupRunner) -> None:
    """A job of a hundred times the limit waits, and the largest request is admitted; the next one then is not."""
    runner.gate.clear()
    with scheduler.admission(100_000, background=True) as job:
        scheduler.submit(windows(200, 5), job=job)
        scheduler.expect_room(1000)
        with scheduler.admission(1000) as request:
            found = scheduler.submit(windows(20, 6), job=request)
            with pytest.raises(Overloaded):
                scheduler.expect_room(1000)
            with scheduler.admission(50_000, background=True):  # another chunk does not ask
                pass
    runner.gate.set()
    for future in found:
        future.result(10)


def test_a_request_goes_before_a_job(scheduler: Scheduler, runner: LookupRunner) -> None:
    """Of what runs until a request of 20 windows is done, a tenth is the job's, and what ran when it came."""
    runner.gate.clear()
    with scheduler.admission(0, background=True) as job:
        scheduler.submit(windows(200, 5), job=job)
    found = scheduler.submit(windows(20, 6))
    runner.gate.set()
    for future in found:
        future.result(10)
    ran = [int(batch[0][0]) for batch in runner.batches]
    until = len(ran) - 1 - ran[::-1].index(6)
    assert ran[: until + 1].count(6) == 20
    assert ran[: until + 1].count(5) <= 4

"""Nothing is lost, nothing runs twice, and nobody runs more than his share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.engines import Batching
from bento.scheduling.backlog import QUANTUM, Backlog, Item, Job, Text
from tests.fakes import can

LONGEST = 500
REQUESTS = st.lists(st.lists(st.integers(1, LONGEST), min_size=1, max_size=20), min_size=1, max_size=6)


def fill(backlog: Backlog, requests: list[list[int]]) -> list[Job]:
    """Each request's texts have one window of the given lengths."""
    jobs = []
    for lengths in requests:
        job = Job()
        backlog.add(job, [Text(job, [np.zeros(length, np.int64)], lambda index, logits: None) for length in lengths])
        jobs.append(job)
    return jobs


def drain(backlog: Backlog, batching: Batching, count: int) -> list[list[Item]]:
    batches = []
    while batch := backlog.take(can(batching), lambda _: count, LONGEST):
        batches.append(batch)
    return batches


@given(REQUESTS, st.sampled_from(Batching), st.integers(1, 8))
def test_every_window_is_taken_once(requests: list[list[int]], batching: Batching, count: int) -> None:
    backlog = Backlog()
    fill(backlog, requests)
    assert backlog.tokens == sum(map(sum, requests))
    taken = [item for batch in drain(backlog, batching, count) for item in batch]
    assert sorted(map(len, taken)) == sorted(length for lengths in requests for length in lengths)
    assert len({id(item.text) for item in taken}) == len(taken)
    assert backlog.tokens == 0
    assert not backlog


@given(REQUESTS, st.sampled_from(Batching), st.integers(1, 8))
def test_a_micro_batch_keeps_its_bounds(requests: list[list[int]], batching: Batching, count: int) -> None:
    backlog = Backlog()
    fill(backlog, requests)
    for batch in drain(backlog, batching, count):
        lengths = [len(item) for item in batch]
        assert len(batch) <= (1 if batching is Batching.SINGLE else count)
        if batching is Batching.PACKED:
            assert len(batch) == 1 or sum(lengths) <= LONGEST
        if batching is Batching.PADDED:
            assert len(batch) == 1 or len(batch) * max(lengths) <= LONGEST
            assert min(lengths) >= (1 - can(batching).most_padding) * max(lengths)


@given(REQUESTS, st.integers(1, 8))
def test_nobody_is_far_ahead_while_others_wait(requests: list[list[int]], count: int) -> None:
    backlog = Backlog()
    jobs = fill(backlog, requests)
    ran: Counter[int] = Counter()
    while all(job.waiting for job in jobs) and (batch := backlog.take(can(Batching.PACKED), lambda _: count, LONGEST)):
        for item in batch:
            ran[id(item.text.job)] += len(item)
        shares = [ran[id(job)] for job in jobs]
        assert max(shares) - min(shares) <= 2 * QUANTUM + LONGEST


@pytest.mark.parametrize("taken", range(1, 9))
def test_a_short_request_waits_for_one_window_of_two_long_ones_at_most(taken: int) -> None:
    backlog = Backlog()
    fill(backlog, [[LONGEST] * 20, [LONGEST] * 20])
    for _ in range(taken):
        backlog.take(can(Batching.SINGLE), lambda _: 1, LONGEST)
    (short,) = fill(backlog, [[QUANTUM]])
    following = [item.text.job for _ in range(2) for item in backlog.take(can(Batching.SINGLE), lambda _: 1, LONGEST)]
    assert short in following


def test_what_was_forgotten_is_neither_run_nor_counted() -> None:
    backlog = Backlog()
    (job,) = fill(backlog, [[10, 20]])
    wanted, unwanted = (item.text for item in job.waiting)
    unwanted.future.cancel()
    backlog.forget(unwanted)
    assert backlog.tokens == 20
    assert [item.text for batch in drain(backlog, Batching.SINGLE, 1) for item in batch] == [wanted]

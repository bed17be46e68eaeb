"""The core under every order of events: hypothesis chooses who asks, joins, leaves, fails and when; a model checks.

Two machines. The first drives `Backlog`, which is pure, one call at a time. The second drives a real `Detector` with
its lanes and its event loop, a turn of the loop at a time; between two of its steps nothing moves by itself, so a
failure can be replayed. Put back, an early end of the loop in `Backlog._drop_idle` or a late removal in `Flights._end`
is found.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from starlette.requests import ClientDisconnect

from bento.api.body import Bodies, Hold
from bento.api.scoring import Turn
from bento.detector import Detector, Scores
from bento.engines import Batching
from bento.errors import DeadlineExceeded, ModelNotReady, Overloaded
from bento.scheduling.backlog import Backlog, Item, Job, Text
from bento.settings import ApiSettings, ModelSettings, Settings
from bento.text.tokenizer import Tokenizer
from bento.text.words import score, split
from bento.types import FloatArray, IntArray
from tests import fakes

LONGEST = 64
PATIENCE = 20.0


class BacklogMachine(RuleBasedStateMachine):
    """What is taken, counted and forgotten, beside a plain list of what should be there."""

    jobs: Bundle[Job] = Bundle("jobs")
    texts: Bundle[Text] = Bundle("texts")

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog()
        self.waiting: dict[Text, int] = {}

    @rule(target=jobs, background=st.booleans())
    def new_job(self, background: bool) -> Job:
        return Job(background=background)

    @rule(
        target=texts,
        job=jobs,
        lengths=st.lists(st.lists(st.integers(1, LONGEST), min_size=1, max_size=3), min_size=1, max_size=4),
    )
    def add(self, job: Job, lengths: list[list[int]]) -> Any:
        added = [Text(job, [np.zeros(n, np.int64) for n in windows], lambda index, logits: None) for windows in lengths]
        self.backlog.add(job, added)
        self.waiting |= {text: len(text.windows) for text in added}
        return multiple(*added)

    @rule(text=consumes(texts))
    def cancel(self, text: Text) -> None:
        text.future.cancel()
        self.backlog.forget(text)
        self.waiting.pop(text, None)

    @rule(batching=st.sampled_from(Batching), count=st.integers(1, 4))
    def take(self, batching: Batching, count: int) -> None:
        batch = self.backlog.take(fakes.can(batching), lambda _: count, LONGEST)
        assert bool(batch) == bool(self.waiting)
        self._account(batch)

    @invariant()
    def what_waits_is_counted(self) -> None:
        counted = (text.waiting_tokens for text in self.waiting if not text.job.background)
        assert self.backlog.tokens == sum(counted)
        assert self.backlog.tokens >= 0

    def teardown(self) -> None:
        while batch := self.backlog.take(fakes.can(Batching.SINGLE), lambda _: 1, LONGEST):
            self._account(batch)
        assert not self.waiting
        assert self.backlog.tokens == 0

    def _account(self, batch: Sequence[Item]) -> None:
        for item in batch:
            assert item.text in self.waiting, "a window that nobody wants, or that was taken before"
            self.waiting[item.text] -= 1
            if not self.waiting[item.text]:
                assert item.text.waiting_tokens == 0
                del self.waiting[item.text]


TestBacklog = BacklogMachine.TestCase
TestBacklog.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


class Clockwork(asyncio.SelectorEventLoop):
    """An event loop that is turned by hand, and whose clock too."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def turn(self) -> None:
        """Everything that is ready now, once."""
        self.call_soon(self.stop)
        self.run_forever()


class Permits:
    """A runner each of whose runs waits for a permit; fails on its poison."""

    def __init__(self, batching: Batching, poison: int) -> None:
        self.abilities = fakes.can(batching, LANES)
        self.free = True
        self.permits = 0
        self.blocked = 0
        self.changed = threading.Condition()
        self._inner = fakes.LookupRunner(poison)

    def run(self, windows: Sequence[IntArray], wide: bool = False) -> list[FloatArray]:
        with self.changed:
            self.blocked += 1
            while not (self.free or self.permits):
                self.changed.wait()
            self.permits = max(0, self.permits - 1)
            self.blocked -= 1
        return self._inner.run(windows, wide)


class Gone:
    """A request's connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._gone = loop.create_future()

    def disconnect(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    async def receive(self) -> dict[str, str]:
        await self._gone
        return {"type": "http.disconnect"}


TEXTS = ("a", "the end", "moment " * 3, "the letter " * 30, "a quiet one", "queue")  # those with a q are poison
REQUEST = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)
LANES = 2
LIMITS = ApiSettings(max_queue_tokens=300, timeout_s=50)


class CoreMachine(RuleBasedStateMachine):
    """Requests of two owners to one detector. Each request's end is checked against what happened to it."""

    requests: Bundle[_Asked] = Bundle("requests")

    @initialize(batching=st.sampled_from(Batching))
    def start(self, batching: Batching) -> None:
        self.folder = fakes.write_folder(Path(self.scratch.name))
        tokenizer = Tokenizer(self.folder.tokenizer)
        self.runner = Permits(batching, int(tokenizer.encode("q").ids[-1]))
        own = Settings(model=ModelSettings(window_overlap=16), api=LIMITS)
        self.detector = Detector(self.folder, self.runner, own)
        self.expected = {
            text: score(
                split(text),
                (encoding := tokenizer.encode(text)).offsets,
                np.array([1 / (1 + np.exp(-fakes.logit(int(token)))) for token in encoding.ids], np.float32),
            )
            for text in TEXTS
        }
        self.runner.free = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = Clockwork()
        self.scratch = TemporaryDirectory()
        self.asked: list[_Asked] = []
        self.closed = False

    @rule(target=requests, texts=REQUEST, owner=st.sampled_from(["", "other"]))
    def ask_anew(self, texts: list[str], owner: str) -> _Asked:
        return self.ask(texts, owner)

    @rule(target=requests, asked=requests)
    def ask_again(self, asked: _Asked) -> _Asked:
        return self.ask(asked.texts, asked.owner)

    def ask(self, texts: list[str], owner: str) -> _Asked:
        gone: Any = Gone(self.loop)  # as much of a request as a turn needs
        turn = Turn(gone, self.detector, owner, LIMITS, Hold(Bodies(1)), asyncio.Lock(), time.perf_counter())
        task = self.loop.create_task(turn.score(texts, "sentences"))
        asked = _Asked(texts, owner, gone, task, closed=self.closed)
        self.asked.append(asked)
        return asked

    @rule(times=st.integers(1, 4))
    def turn(self, times: int) -> None:
        for _ in range(times):
            self._settle()
            self.loop.turn()
        self._settle()

    @rule(windows=st.integers(1, 4))
    def run(self, windows: int) -> None:
        with self.runner.changed:
            self.runner.permits = windows
            self.runner.changed.notify_all()
        self._settle()

    @rule(asked=requests)
    def disconnect(self, asked: _Asked) -> None:
        asked.left = True
        asked.gone.disconnect()

    @rule(asked=requests)
    def cancel(self, asked: _Asked) -> None:
        asked.left = True
        asked.task.cancel()

    @precondition(lambda self: len(self.asked) > 4)
    @rule()
    def deadline(self) -> None:
        self.loop.now += LIMITS.timeout_s
        for asked in self.asked:
            asked.late = True

    @precondition(lambda self: not self.closed and len(self.asked) > 8)  # much happens before the end
    @rule()
    def close(self) -> None:
        self.closed = True
        for asked in self.asked:
            asked.closed = True
        closing = threading.Thread(target=self.detector.close)
        closing.start()
        while not self.detector._scheduler._closed:
            time.sleep(1e-4)
        self._free()
        closing.join(PATIENCE)
        assert not closing.is_alive(), "a closing detector waits for ever"

    @invariant()
    def the_backlog_counts_what_waits(self) -> None:
        if hasattr(self, "detector"):
            self._settle()
            scheduler = self.detector._scheduler
            with scheduler._changed:
                texts = {id(i.text): i.text for job in scheduler._backlog._jobs for i in job.waiting if i.text.wanted}
                assert scheduler._backlog.tokens == sum(text.waiting_tokens for text in texts.values())
            assert scheduler.whole

    def teardown(self) -> None:
        if hasattr(self, "detector"):
            self._free()
            self._until(lambda: all(asked.task.done() for asked in self.asked), "a request is never answered")
            self.loop.turn()
            for asked in self.asked:
                asked.check(self.expected)
            if not self.closed:
                self.detector.close()
            assert len(self.detector._requests._flights) == 0
            assert self.detector._scheduler._backlog.tokens == 0
            assert self.detector._scheduler._reserved == 0
            assert self.detector._scheduler._busy == 0
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self.scratch.cleanup()

    def _free(self) -> None:
        with self.runner.changed:
            self.runner.free = True
            self.runner.changed.notify_all()

    def _settle(self) -> None:
        """Until the tokeniser and the lanes have done all that they can without another turn or permit."""
        with contextlib.suppress(RuntimeError):  # its pool is closed
            self.detector._requests._pool.submit(lambda: None).result(PATIENCE)
        give_up = time.monotonic() + PATIENCE
        while not self._quiet():
            assert time.monotonic() < give_up, "the lanes do not come to rest"
            time.sleep(1e-4)

    def _quiet(self) -> bool:
        scheduler, runner = self.detector._scheduler, self.runner
        with scheduler._changed, runner.changed:
            busy, waits = scheduler._busy, scheduler._backlog.tokens > 0
            if runner.free or runner.permits:
                return not busy and (not waits or self.closed)
            return busy == runner.blocked and (busy == LANES or not waits)

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up, otherwise
            self._settle()
            self.loop.turn()


class _Asked:
    """One request, and what happened to it."""

    def __init__(self, texts: list[str], owner: str, gone: Gone, task: asyncio.Task[Scores], *, closed: bool) -> None:
        self.texts = texts
        self.owner = owner
        self.gone = gone
        self.task = task
        self.left = self.late = False
        self.closed = closed

    def check(self, expected: dict[str, FloatArray]) -> None:
        """A request ends by scores that are right, or by something that did happen to it."""
        if self.task.cancelled():
            assert self.left, "a request that nobody cancelled was"
            return
        match self.task.exception():
            case None:
                for text, found in zip(self.texts, self.task.result().words, strict=True):
                    np.testing.assert_allclose(found, expected[text], atol=1e-6)
            case ClientDisconnect():
                assert self.left
            case DeadlineExceeded():
                assert self.late
            case ModelNotReady():
                assert self.closed
            case Overloaded():
                pass
            case RuntimeError() as error:
                assert str(error) == "poison"
                assert any("q" in text for text in self.texts)
            case error:
                raise AssertionError("no request ends so") from error


TestCore = CoreMachine.TestCase
TestCore.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)

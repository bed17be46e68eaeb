"""The windows that wait for a lane. Each request gets the same number of tokens per round. No threads here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from opentelemetry.trace import SpanContext

from bento.engines import Abilities, Batching
from bento.types import FloatArray, IntArray

# Tokens of credit that a request gets in each round: about one short text. A request may start a run when its credit is
# above 0; the run's tokens are subtracted. After a window of 455 tokens it waits for seven rounds, so a short request
# waits for one long window at most.
QUANTUM = 64
# Background work (jobs) gets a tenth of a request's tokens in a round.
BACKGROUND = 0.1 * QUANTUM


@dataclass(frozen=True)
class Done:
    """The logits [length, labels] of each window of a text, and the seconds that its request waited for a lane."""

    logits: tuple[FloatArray, ...]
    queue_s: float


@dataclass(eq=False)
class Job:
    """One request: its waiting windows, longest first, and its credit in tokens.

    expected: an estimate of the tokens that are still to be added. submitted: when the first were. span: of its
    request, if that is traced. background: no client waits for it, and its tokens do not count for admission.
    """

    expected: int = 0
    submitted: float | None = None
    waiting: deque[Item] = field(default_factory=deque)
    credit: float = 0.0
    queue_s: float | None = None
    background: bool = False
    span: SpanContext | None = None


@dataclass(eq=False)
class Text:
    """One text of a request: its windows [length], and what is known of them.

    wanted: false once its future is done, which `forget` is told. waiting_tokens: its windows that no lane has taken.
    """

    job: Job
    windows: Sequence[IntArray]
    on_window: Callable[[int, FloatArray], None]
    future: Future[Done] = field(default_factory=Future)
    results: dict[int, FloatArray] = field(default_factory=dict)
    waiting_tokens: int = 0
    wanted: bool = True


@dataclass(frozen=True, eq=False)
class Item:
    """One window of a text."""

    text: Text
    index: int

    @property
    def ids(self) -> IntArray:
        """[length]"""
        return self.text.windows[self.index]

    def __len__(self) -> int:
        return len(self.ids)


class Backlog:
    """Deficit round robin (Shreedhar and Varghese 1995): a request whose credit is not above 0 waits for its next
    turns."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self.tokens = 0  # without those in the background

    def __bool__(self) -> bool:
        self._drop_idle()
        return bool(self._jobs)

    def add(self, job: Job, texts: Iterable[Text]) -> None:
        """Add texts of a request. It joins at the end of the round unless it is waiting already."""
        items = list(job.waiting)
        for text in (text for text in texts if text.wanted):
            self._count(text, sum(map(len, text.windows)))
            items += [Item(text, index) for index in range(len(text.windows))]
        job.waiting = deque(sorted(items, key=len, reverse=True))
        if job not in self._jobs:
            self._jobs.append(job)

    def forget(self, text: Text) -> None:
        """Mark a text as no longer wanted. To be called when its future is done."""
        text.wanted = False
        self._count(text, -text.waiting_tokens)

    def take(self, engine: Abilities, count_for: Callable[[int], int], most_tokens: int) -> list[Item]:
        """The windows of the next run; none if none wait. If one request's windows do not fill it, others' are added.

        count_for: how many windows to run together, given the length of the longest.
        most_tokens: of a run of several windows, padding included.
        """
        self._drop_idle()
        if not self._jobs:
            return []
        while self._jobs[0].credit <= 0:
            self._jobs[0].credit += BACKGROUND if self._jobs[0].background else QUANTUM
            if self._jobs[0].credit <= 0:
                self._jobs.rotate(-1)
        first = self._jobs[0]
        batch = [self._pop(first)]
        longest = len(batch[0])
        wanted = 1 if engine.batching is Batching.SINGLE else count_for(longest)
        for job in list(self._jobs):
            while len(batch) < wanted and (item := self._next(job)) is not None:
                packed = engine.batching is Batching.PACKED
                if not packed and not (1 - engine.most_padding) * longest <= len(item) <= longest:
                    break
                total = sum(map(len, batch)) + len(item) if packed else longest * (len(batch) + 1)
                if total > most_tokens:
                    break
                batch.append(self._pop(job))
        if first.credit <= 0:
            self._jobs.rotate(-1)
        return batch

    @staticmethod
    def _next(job: Job) -> Item | None:
        """The window that `_pop` would take: the first of a text that is still wanted."""
        while job.waiting and not job.waiting[0].text.wanted:
            job.waiting.popleft()
        return job.waiting[0] if job.waiting else None

    def _pop(self, job: Job) -> Item:
        item = job.waiting.popleft()
        self._count(item.text, -len(item))
        job.credit -= len(item)
        return item

    def _count(self, text: Text, tokens: int) -> None:
        text.waiting_tokens += tokens
        if not text.job.background:
            self.tokens += tokens

    def _drop_idle(self) -> None:
        """Remove requests without a wanted window. Afterwards `take` can pop without checking."""
        if None in [self._next(job) for job in self._jobs]:
            self._jobs = deque(job for job in self._jobs if job.waiting)

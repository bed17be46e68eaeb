"""Scores the texts of requests: each different text once, and only if the backlog has room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from operator import methodcaller

from bento import metrics, tracing
from bento.alignment import Prepared
from bento.cache import ScoreCache
from bento.detector.preparation import Preparation, Request
from bento.scheduling.backlog import Done
from bento.scheduling.costs import Density
from bento.scheduling.flights import Abandoned, Flight, Flights
from bento.scheduling.lanes import Scheduler
from bento.types import FloatArray

# Texts are tokenised this many characters at a time, which takes 1 to 2 ms, and requests take turns. The lanes run the
# first windows while the next are tokenised, and a short request does not wait for the whole of a long one.
_PART_CHARACTERS = 4_000


@dataclass(frozen=True)
class Scores:
    """The result of `Detector.score`.

    words: for each text, the probabilities [words] of the words of `text.split()`.
    queue_s: the seconds that the request waited for a lane.
    cached: the number of texts whose scores were cached.
    """

    words: tuple[FloatArray, ...]
    queue_s: float
    cached: int

    @property
    def total_words(self) -> int:
        """The number of words in all texts."""
        return sum(len(scores) for scores in self.words)


class Requests:
    """Scores requests with a cache of earlier texts' scores and a table of the texts that are being scored."""

    def __init__(self, preparation: Preparation, scheduler: Scheduler, cache_bytes: int) -> None:
        self._preparation = preparation
        self._scheduler = scheduler
        self._flights = Flights()
        self._density = Density()
        self._cache = ScoreCache(cache_bytes)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="text")

    def expect_room(self, characters: int) -> None:
        """See Detector.expect_room."""
        likely = self._density.tokens(characters)
        self._scheduler.expect_room(likely // 2, likely)

    def close(self) -> None:
        """To be called after the scheduler is closed."""
        self._pool.shutdown()

    async def score(self, request: Request, texts: Sequence[str]) -> Scores:
        """See Detector.score."""
        known = {text: found for text in request.names if (found := self._cache.get(request.owner, text)) is not None}
        cached = sum(text in known for text in texts)
        wanted, queue_s = [text for text in dict.fromkeys(texts) if text not in known], 0.0
        while wanted:
            scored, waited = await self._score_unknown(request, wanted)
            known |= scored
            queue_s += waited
            wanted = [text for text in wanted if text not in known]  # the request that was scoring these failed
        scores = tuple(known[text] for text in texts)
        if request.align_s:
            tracing.stage("align", sum(request.align_s), [request.span], texts=len(request.align_s))
        metrics.TEXTS.inc(len(scores))
        metrics.WORDS.inc(sum(map(len, scores)))
        metrics.CACHED_TEXTS.inc(cached)
        return Scores(scores, queue_s, cached)

    async def _score_unknown(self, request: Request, texts: Sequence[str]) -> tuple[dict[str, FloatArray], float]:
        """The scores by text, and the longest time that one of the texts waited for a lane, in seconds.

        The texts are different. If another request of this owner is scoring a text, this one waits for its result; the
        text is missing from the scores if that request was cancelled.
        """
        joined = {text: self._flights.join(request.owner, text) for text in texts}
        flights = {text: flight for text, (flight, _) in joined.items()}
        begun = {text: flight for text, (flight, begins) in joined.items() if begins}
        try:
            if begun:
                await self._begin(request, begun)
            futures = {flight.found for flight in flights.values()}
            finished, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
            faults = [future.exception() for future in finished]
            if fault := next((fault for fault in faults if fault and not isinstance(fault, Abandoned)), None):
                raise fault
            if len(finished) < len(futures):  # a cancelled one ended the wait: wait for the others
                await asyncio.wait(futures)
            done = {text: flight for text, flight in flights.items() if flight.found.exception() is None}
            queue_s = max((flight.queue_s for flight in done.values()), default=0.0)
            return {text: flight.found.result() for text, flight in done.items()}, queue_s
        finally:
            for flight in flights.values():
                self._flights.leave(flight)

    async def _begin(self, request: Request, flights: Mapping[str, Flight]) -> None:
        """Tokenise texts, a part at a time, and queue their windows. Raises Overloaded before the first part."""
        loop = asyncio.get_running_loop()
        expected = self._density.tokens(sum(map(len, flights)))
        try:
            with self._scheduler.admission(expected, background=request.background) as job:
                for part in _parts(sorted(flights, key=len, reverse=True)):
                    prepared = await loop.run_in_executor(self._pool, self._preparation.prepare, request, part)
                    if request.partial is not None:
                        request.partial.begin(prepared[0], self._preparation.alignment)
                    work = self._scheduler.submit([text.ids for text in prepared], request.on_piece, job)
                    for text, made, future in zip(part, prepared, work, strict=True):
                        self._density.add(len(made), len(text))
                        flights[text].work = future
                        future.add_done_callback(partial(self._end, request, text, flights[text], made))
        except BaseException:  # a cancellation too
            for flight in flights.values():
                if flight.work is None:
                    self._flights.abandon(flight)
            raise

    def _end(self, request: Request, text: str, flight: Flight, prepared: Prepared, work: Future[Done]) -> None:
        """Called on the lane that ran the last window of a text: give its scores to all requests that wait for them."""
        if work.cancelled():
            self._flights.end_from_thread(flight, lambda future: future.set_exception(Abandoned()))
            return
        try:
            scores = self._preparation.align(request, prepared, work.result())
        except BaseException as error:
            # Not a closure: this frame would hold the error, whose traceback holds the frame.
            self._flights.end_from_thread(flight, methodcaller("set_exception", error))
            return
        flight.queue_s = work.result().queue_s
        self._cache.put(request.owner, text, scores)
        self._flights.end_from_thread(flight, lambda future: future.set_result(scores))


def _parts(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in order, in lists that each have at least _PART_CHARACTERS characters, except the last."""
    part: list[str] = []
    for text in texts:
        part.append(text)
        if sum(map(len, part)) >= _PART_CHARACTERS:
            yield part
            part = []
    if part:
        yield part

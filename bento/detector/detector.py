"""The pipeline, top to bottom: words -> tokens -> windows -> lanes -> stitch -> words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from opentelemetry.trace import SpanContext

from bento import metrics, passages, signing, tracing
from bento.alignment import Alignment, Partial, Prepared
from bento.artifact import ModelFolder
from bento.cache import ScoreCache
from bento.calibration import Calibration
from bento.engines import Runner, choice
from bento.errors import ArtifactError, ConfigError, TextTooLong, Untokenisable
from bento.passages import Threshold
from bento.scheduling.backlog import Done
from bento.scheduling.costs import Density
from bento.scheduling.flights import Abandoned, Flight, Flights
from bento.scheduling.lanes import Scheduler
from bento.settings import ApiSettings, Settings
from bento.text import windows, words
from bento.text.tokenizer import Tokenizer, TokenizerFault, TooManyTokens
from bento.types import Encoding, FloatArray, Window

logger = logging.getLogger("wordtell")

# Texts are tokenised so many characters at a time, one or two milliseconds, and requests take turns: the lanes run the
# first while the next are made, and a short request does not wait for all of a long one's.
_PART_CHARACTERS = 4_000


@dataclass(frozen=True)
class Scores:
    """What `Detector.score` found.

    words: for each text, one probability [words] for each word of `text.split()`.
    queue_s: seconds that the request waited for a lane.
    cached: how many texts' scores were already known.
    """

    words: tuple[FloatArray, ...]
    queue_s: float
    cached: int

    @property
    def total_words(self) -> int:
        """Words in all texts."""
        return sum(len(scores) for scores in self.words)


@dataclass
class _Request:
    """What one call of `score` wants, and how many tokens it has had. names: each text as its caller calls it.

    partial: who wants the scores of its only text while they come.

    span: the one of its trace, if it is traced. align_s: what each text took to align, from the lanes.
    """

    owner: str
    names: Mapping[str, str]
    on_window: Callable[[], None]
    limits: ApiSettings | None
    span: SpanContext | None
    partial: Partial | None = None
    background: bool = False
    align_s: list[float] = field(default_factory=list)
    tokens: int = 0

    def add(self, text: str, encoding: Encoding) -> None:
        """One more text. Raises TextTooLong when all of them together are over the limit."""
        self.tokens += len(encoding)
        # A document's own limit, which may be above this one, is that of its request.
        if self.limits is not None and self.partial is None and self.tokens > self.limits.max_request_tokens:
            raise TextTooLong.in_all(self.names[text], self.tokens, self.limits.max_request_tokens)

    def text_limit(self) -> tuple[str, int | None]:
        """The setting that bounds the tokens of a text, and its value."""
        name = "max_text_tokens" if self.partial is None else "max_document_tokens"
        return name, getattr(self.limits, name, None)

    def on_piece(self, index: int, logits: FloatArray) -> None:
        """A lane has run one window of a text."""
        self.on_window()
        if self.partial is not None:
            self.partial.add(index, logits)


class Detector:
    """Scores texts with one model."""

    def __init__(self, folder: ModelFolder, runner: Runner, settings: Settings, reason: str = "") -> None:
        """`runner` runs the model of `folder`; reason: why it does. Raises ConfigError when the settings do not fit."""
        self._folder = folder
        self.manifest = folder.manifest
        self.name = settings.model.name or folder.manifest.name
        self.abilities = runner.abilities
        self.engine = self.abilities.engine
        self.kernels = self.abilities.variant
        self.reason = reason
        self._api = settings.api
        self._tokenizer = Tokenizer(folder.tokenizer, folder.tokenizer_text)
        self._alignment = Alignment(self._tokenizer, self.manifest)
        self._overlap = settings.model.window_overlap
        self._limit = self._window_limit(settings)
        longest = self._limit + self._tokenizer.special_tokens
        scores_by = (
            folder.manifest.precision,
            folder.manifest.digest,
            self.abilities.variant,
            f"{longest}.{self._overlap}",
        )
        self.version = "-".join((self.name, *scores_by))
        self._scheduler = Scheduler(runner, settings.api, longest)
        self._flights = Flights()
        self._density = Density()
        self._cache = ScoreCache(settings.api.cache_mb << 20)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="text")
        metrics.MODEL_INFO.labels(self.version, self.manifest.precision, self.engine, self.kernels).set(1)

    @classmethod
    def load(cls, settings: Settings) -> Detector:
        """Read the model folder that the settings name, and score once. Raises ArtifactError and ConfigError."""
        started = time.perf_counter()
        if settings.model.require_signature:
            signing.verify(settings.model.checkpoint_dir, settings.model.require_signature)
        folder, runner, reason = choice.choose(settings.model.checkpoint_dir, settings)
        detector = cls(folder, runner, settings, reason)
        detector.warm_up()
        engine = f"{detector.engine} ({detector.kernels})"
        loaded = detector.version, folder.path, engine, time.perf_counter() - started
        logger.info("serving %s from %s with %s, loaded in %.1f s", *loaded)
        return detector

    @property
    def whole(self) -> bool:
        """Whether everything that answers requests still runs."""
        return self._scheduler.whole

    @property
    def calibration(self) -> Calibration | None:
        """The model folder's, if it has one."""
        return self._folder.calibration

    def threshold_for(self, words: int) -> Threshold:
        """The threshold of passages for a text of so many words, and what it promises."""
        return passages.threshold_for(self._folder.calibration, words)

    def expect_room(self, characters: int) -> None:
        """Raises Overloaded when the backlog has no room for half of so much text: before anything is paid for it.

        Half, because texts that are known, and characters that a body has escaped, cost less than its length says.
        """
        likely = self._density.tokens(characters)
        self._scheduler.expect_room(likely // 2, likely)

    async def score(  # noqa: PLR0913 - all but the texts by name
        self,
        texts: Sequence[str],
        on_window: Callable[[], None] = lambda: None,
        *,
        owner: str = "",
        field: str = "texts",
        bounded: bool = False,
        background: bool = False,
    ) -> Scores:
        """Score every word of every text, up to the limits of a text and a request in tokens.

        Equal texts are scored once, and texts that were lately seen of this owner not at all. `on_window` is called
        from another thread after each window. When the caller is cancelled, work that has not begun is dropped.

        owner: whose texts these are; nothing of them is told to another. field: what the caller calls the list.
        bounded: whether the limits hold, as they do for a server's clients. background: requests go before it, and none
        is refused for it. Raises Overloaded, TextTooLong and Untokenisable.
        """
        names = {text: f"{field}[{index}]" for index, text in reversed(list(enumerate(texts)))}
        limits = self._api if bounded else None
        request = _Request(owner, names, on_window, limits, tracing.current(), background=background)
        return await self._score(request, texts)

    async def score_document(self, text: str, partial: Partial, *, owner: str = "", field: str = "text") -> Scores:
        """Score one text within the limit of a document; `partial` is told its scores while they come.

        Raises what `score` raises.
        """
        request = _Request(owner, {text: field}, lambda: None, self._api, tracing.current(), partial)
        return await self._score(request, [text])

    async def _score(self, request: _Request, texts: Sequence[str]) -> Scores:
        known = {text: found for text in request.names if (found := self._cache.get(request.owner, text)) is not None}
        cached = sum(text in known for text in texts)
        wanted, queue_s = [text for text in dict.fromkeys(texts) if text not in known], 0.0
        while wanted:
            scored, waited = await self._score_unknown(request, wanted)
            known |= scored
            queue_s += waited
            wanted = [text for text in wanted if text not in known]  # whoever was to score these failed
        scores = tuple(known[text] for text in texts)
        if request.align_s:
            tracing.stage("align", sum(request.align_s), [request.span], texts=len(request.align_s))
        metrics.TEXTS.inc(len(scores))
        metrics.WORDS.inc(sum(map(len, scores)))
        metrics.CACHED_TEXTS.inc(cached)
        return Scores(scores, queue_s, cached)

    def begin(self, texts: Sequence[str]) -> list[Future[FloatArray]]:
        """Tokenise texts on this thread and queue them together: the way for files, whose reader waits for its results.

        Nothing is refused, limited or cached: the caller bounds what it has begun. One future a text: its scores
        [words], or Untokenisable. Raises ModelNotReady once closed.
        """
        request = _Request("", {text: f"texts[{index}]" for index, text in enumerate(texts)}, _nothing, None, None)
        try:
            prepared: list[Prepared] = self._prepare(request, texts)
        except Untokenisable as error:
            if len(texts) > 1:
                return [future for text in texts for future in self.begin([text])]
            failed: Future[FloatArray] = Future()
            failed.set_exception(error)
            return [failed]
        futures: list[Future[FloatArray]] = [Future() for _ in texts]
        work = self._scheduler.submit([text.ids for text in prepared])
        for found, made, future in zip(futures, prepared, work, strict=True):
            future.add_done_callback(partial(self._deliver, request, made, found))
        return futures

    def _deliver(self, request: _Request, text: Prepared, found: Future[FloatArray], work: Future[Done]) -> None:
        """On the lane that ran a text's last window."""
        if work.cancelled():
            found.cancel()
            return
        try:
            found.set_result(self._align(request, text, work.result()))
        except BaseException as error:
            found.set_exception(error)

    def window_tokens(self, text: str) -> tuple[int, ...]:
        """Tokens of each window of a text, special ones included: `on_window` will be called once for each."""
        special = self._tokenizer.special_tokens
        return tuple(len(window) + special for window in self._windows(self._tokenizer.encode(text)))

    def warm_up(self) -> None:
        """Run every lane twice, so that their speed is known. Raises ArtifactError when the graph cannot run."""
        try:
            for again in range(2):
                texts = [
                    f"wordtell warms up {again} {lane}. " + "It is a text of many words. " * 24
                    for lane in range(2 * self.abilities.lanes)
                ]
                asyncio.run(self.score(texts, owner="wordtell's own warm-up"))
        except Exception as error:  # whatever the engine raises
            reason = str(error).strip().splitlines()[0]
            raise ArtifactError(self._folder.model, f"the model cannot be run ({reason})") from error

    def close(self) -> None:
        """Drop what waits, finish what runs."""
        self._scheduler.close()
        self._pool.shutdown()

    async def _score_unknown(self, request: _Request, texts: Sequence[str]) -> tuple[dict[str, FloatArray], float]:
        """Scores of texts that differ, by text, and the longest that one waited for a lane.

        Those that are being scored for the same owner are waited for; without those that were abandoned there.
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
            if len(finished) < len(futures):  # an abandoned one ended the wait: the others are still to come
                await asyncio.wait(futures)
            done = {text: flight for text, flight in flights.items() if flight.found.exception() is None}
            queue_s = max((flight.queue_s for flight in done.values()), default=0.0)
            return {text: flight.found.result() for text, flight in done.items()}, queue_s
        finally:
            for flight in flights.values():
                self._flights.leave(flight)

    async def _begin(self, request: _Request, flights: Mapping[str, Flight]) -> None:
        """Tokenise texts, a part at a time, and queue their windows. Raises Overloaded before any work is done."""
        loop = asyncio.get_running_loop()
        expected = self._density.tokens(sum(map(len, flights)))
        try:
            with self._scheduler.admission(expected, background=request.background) as job:
                for part in _parts(sorted(flights, key=len, reverse=True)):
                    prepared = await loop.run_in_executor(self._pool, self._prepare, request, part)
                    if request.partial is not None:
                        request.partial.begin(prepared[0], self._alignment)
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

    def _end(self, request: _Request, text: str, flight: Flight, prepared: Prepared, work: Future[Done]) -> None:
        """On the lane that ran a text's last window: its scores to all who wait for them."""
        if work.cancelled():
            self._flights.end_from_thread(flight, lambda future: future.set_exception(Abandoned()))
            return
        try:
            scores = self._align(request, prepared, work.result())
        except BaseException as error:
            # Bound here: a variable of this frame would hold the error, whose trace holds the frame.
            self._flights.end_from_thread(flight, lambda future, error=error: future.set_exception(error))  # type: ignore[misc]
            return
        flight.queue_s = work.result().queue_s
        self._cache.put(request.owner, text, scores)
        self._flights.end_from_thread(flight, lambda future: future.set_result(scores))

    def _window_limit(self, settings: Settings) -> int:
        """Tokens of a text that fit into one window."""
        longest = settings.model.max_tokens or self.manifest.max_tokens
        most = self.manifest.position_limit
        if most is not None and longest > most:
            raise ConfigError(
                f"model.max_tokens is {longest}: the model has positions for {most} tokens; lower it or leave it empty",
                "model.max_tokens",
            )
        if longest > settings.api.max_batch_tokens:
            raise ConfigError(
                f"api.max_batch_tokens is {settings.api.max_batch_tokens}, less than one window of {longest} tokens:"
                " raise it, or lower model.max_tokens",
                "api.max_batch_tokens",
            )
        limit = longest - self._tokenizer.special_tokens
        if not self._overlap < limit:
            raise ConfigError(
                f"model.window_overlap is {self._overlap}: it must be below the window's {limit} tokens",
                "model.window_overlap",
            )
        return limit

    def _windows(self, encoding: Encoding) -> tuple[Window, ...]:
        return windows.split(len(encoding), self._limit, self._overlap)

    def _prepare(self, request: _Request, texts: Sequence[str]) -> list[Prepared]:
        """Raises TextTooLong and Untokenisable."""
        started = time.perf_counter()
        try:
            setting, most = request.text_limit()
            encodings = self._tokenizer.encode_all(texts, most)
        except TokenizerFault as fault:
            raise Untokenisable(request.names[texts[fault.index]]) from None
        except TooManyTokens as fault:
            raise TextTooLong.in_tokens(request.names[texts[fault.index]], fault.count, most or 0, setting) from None
        prepared = []
        for text, encoding in zip(texts, encodings, strict=True):
            request.add(text, encoding)
            spans = self._windows(encoding)
            ids = tuple(self._tokenizer.ids(encoding, span) for span in spans)
            prepared.append(Prepared(words.split(text), encoding, spans, ids))
        metrics.stage("tokenise", time.perf_counter() - started, [request.span], texts=len(texts))
        return prepared

    def _align(self, request: _Request, text: Prepared, done: Done) -> FloatArray:
        started = time.perf_counter()
        scores = self._alignment.score(text, list(map(self._alignment.probabilities, done.logits)))
        seconds = time.perf_counter() - started
        metrics.STAGE_SECONDS.labels("align").observe(seconds)
        request.align_s.append(seconds)
        if not np.isfinite(scores).all():
            raise ArithmeticError("the model's answer is not a number")
        return scores


def _nothing() -> None:
    """A window has been run, and nobody asked."""


def _parts(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in order, as few as have the characters of a part at a time."""
    part: list[str] = []
    for text in texts:
        part.append(text)
        if sum(map(len, part)) >= _PART_CHARACTERS:
            yield part
            part = []
    if part:
        yield part

"""The pipeline, top to bottom: words -> tokens -> windows -> lanes -> stitch -> words."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from bento import artifact, cpu, metrics, windows, words
from bento.artifact import ModelFolder
from bento.backlog import Done
from bento.cache import ScoreCache
from bento.errors import ArtifactError, ConfigError
from bento.flights import Abandoned, Flight, Flights
from bento.runners import Runner
from bento.runners import fused as runners
from bento.scheduler import Scheduler
from bento.settings import Settings
from bento.tokenizer import Tokenizer
from bento.types import Encoding, FloatArray, IntArray, Window

logger = logging.getLogger("wordtell")

# Of English, before any text was seen: a request's tokens are estimated from its length before they are made.
_TOKENS_PER_CHARACTER = 0.25


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


@dataclass(frozen=True)
class _Prepared:
    """One text on its way to the lanes."""

    words: IntArray
    encoding: Encoding
    windows: tuple[Window, ...]
    ids: tuple[IntArray, ...]


class Detector:
    """Scores texts with one model."""

    def __init__(self, folder: ModelFolder, runner: Runner, settings: Settings, lanes: int) -> None:
        """`runner` runs the graph of `folder` on `lanes` lanes. Raises ConfigError when the settings do not fit it."""
        self._folder = folder
        self.manifest = folder.manifest
        self.name = settings.model.name or folder.manifest.name
        self.engine = runner.engine
        self._tokenizer = Tokenizer(folder.tokenizer)
        self._overlap = settings.model.window_overlap
        self._limit = self._window_limit(settings)
        longest = self._limit + self._tokenizer.special_tokens
        self._scheduler = Scheduler(runner, lanes, settings.api, longest)
        self._flights = Flights()
        self._tokens_per_character = _TOKENS_PER_CHARACTER
        self._cache = ScoreCache(settings.api.cache_mb << 20)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="text")
        metrics.MODEL_INFO.labels(self.version, self.manifest.precision, self.engine).set(1)

    @classmethod
    def load(cls, settings: Settings) -> Detector:
        """Read the model folder that the settings name, and score once. Raises ArtifactError and ConfigError."""
        started = time.perf_counter()
        cores = cpu.detect()
        plan = cpu.plan(cores, settings.cpu)
        folder = artifact.load(settings.model.checkpoint_dir)
        detector = cls(folder, runners.load(folder, plan, settings.cpu.fused), settings, plan.lanes)
        detector.warm_up()
        logger.info("lanes: %d x %d threads, from %s and %s", plan.lanes, plan.threads_per_lane, cores, settings.cpu)
        logger.info(
            "serving %s from %s with %s, loaded in %.1f s",
            detector.version,
            folder.path,
            detector.engine,
            time.perf_counter() - started,
        )
        return detector

    @property
    def version(self) -> str:
        """Name, precision and a digest of the served files: equal versions give equal scores."""
        return f"{self.name}-{self.manifest.precision}-{self.manifest.digest}"

    async def score(self, texts: Sequence[str], on_window: Callable[[], None] = lambda: None) -> Scores:
        """Score every word of every text, of any length.

        Equal texts are scored once, and texts seen lately not at all. `on_window` is called from another thread after
        each window. When the caller is cancelled, the work that has not begun is dropped. Raises Overloaded.
        """
        known = {text: found for text in set(texts) if (found := self._cache.get(text)) is not None}
        cached = sum(text in known for text in texts)
        wanted, queue_s = [text for text in dict.fromkeys(texts) if text not in known], 0.0
        while wanted:
            landed, waited = await self._fly(wanted, on_window)
            known |= landed
            queue_s += waited
            wanted = [text for text in wanted if text not in known]  # whoever was to score these failed
        scores = tuple(known[text] for text in texts)
        metrics.TEXTS.inc(len(scores))
        metrics.WORDS.inc(sum(map(len, scores)))
        metrics.CACHED_TEXTS.inc(cached)
        return Scores(scores, queue_s, cached)

    def count_windows(self, text: str) -> int:
        """How many times `on_window` will be called for a text."""
        return len(self._windows(self._tokenizer.encode(text)))

    def warm_up(self) -> None:
        """Score once, so that the speed is known. Raises ArtifactError when the graph loads but cannot run."""
        try:
            asyncio.run(self.score(["wordtell warms up. " * 32]))
        except Exception as error:  # whatever the engine raises
            reason = str(error).strip().splitlines()[0]
            raise ArtifactError(self._folder.model, f"the model cannot be run ({reason})") from error

    def close(self) -> None:
        """Drop what waits, finish what runs."""
        self._scheduler.close()
        self._pool.shutdown()

    async def _fly(self, texts: Sequence[str], on_window: Callable[[], None]) -> tuple[dict[str, FloatArray], float]:
        """Scores of texts that differ, by text, and the longest that one waited for a lane.

        Those that are in flight for somebody else are waited for; without those that were abandoned there.
        """
        joined = {text: self._flights.join(text) for text in texts}
        flights = {text: flight for text, (flight, _) in joined.items()}
        begun = {text: flight for text, (flight, begins) in joined.items() if begins}
        try:
            if begun:
                await self._begin(begun, on_window)
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

    async def _begin(self, flights: Mapping[str, Flight], on_window: Callable[[], None]) -> None:
        """Send texts on their way. Raises Overloaded before any work is done for them."""
        loop = asyncio.get_running_loop()
        characters = max(1, sum(map(len, flights)))
        try:
            with self._scheduler.admission(math.ceil(characters * self._tokens_per_character)):
                prepared = await loop.run_in_executor(self._pool, self._prepare, list(flights))
                tokens = sum(len(ids) for text in prepared for ids in text.ids)
                self._tokens_per_character += (tokens / characters - self._tokens_per_character) / 8
                work = self._scheduler.submit([text.ids for text in prepared], on_window)
        except BaseException:  # a cancellation too
            for flight in flights.values():
                self._flights.abandon(flight)
            raise
        for (text, flight), made, future in zip(flights.items(), prepared, work, strict=True):
            flight.work = future
            future.add_done_callback(partial(self._land, text, flight, made))

    def _land(self, text: str, flight: Flight, prepared: _Prepared, work: Future[Done]) -> None:
        """On the lane that ran a text's last window: its scores to all who wait for them."""
        if work.cancelled():
            self._flights.land_from_thread(flight, lambda future: future.set_exception(Abandoned()))
            return
        try:
            scores = self._align(prepared, work.result())
        except Exception as error:
            fault = error
            self._flights.land_from_thread(flight, lambda future: future.set_exception(fault))
            return
        flight.queue_s = work.result().queue_s
        self._cache.put(text, scores)
        self._flights.land_from_thread(flight, lambda future: future.set_result(scores))

    def _window_limit(self, settings: Settings) -> int:
        """Tokens of a text that fit into one window."""
        longest = settings.model.max_tokens or self.manifest.max_tokens
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

    def _prepare(self, texts: Sequence[str]) -> list[_Prepared]:
        with metrics.STAGE_SECONDS.labels("tokenise").time():
            prepared = []
            for text in texts:
                encoding = self._tokenizer.encode(text)
                spans = self._windows(encoding)
                ids = tuple(self._tokenizer.ids(encoding, span) for span in spans)
                prepared.append(_Prepared(words.split(text), encoding, spans, ids))
            return prepared

    def _align(self, text: _Prepared, done: Done) -> FloatArray:
        with metrics.STAGE_SECONDS.labels("align").time():
            pieces = [self._probabilities(logits) for logits in done.logits]
            stitched, encoding = windows.stitch(text.windows, pieces), text.encoding
            rule = self.manifest.word_score
            marks = self._tokenizer.marks(encoding) if rule == "first" else None
            return words.score(text.words, encoding.offsets, stitched, rule, marks)

    def _probabilities(self, logits: FloatArray) -> FloatArray:
        content: FloatArray = np.asarray(self._tokenizer.content(logits))
        return words.positive_probability(content, self.manifest.positive_indices, self.manifest.activation)

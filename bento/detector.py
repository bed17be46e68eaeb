"""The pipeline, top to bottom: words -> tokens -> windows -> lanes -> stitch -> words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bento import artifact, cpu, metrics, windows, words
from bento.artifact import ModelFolder
from bento.cache import ScoreCache
from bento.errors import ArtifactError, ConfigError
from bento.runners import Runner
from bento.runners.onnx import OnnxRunner
from bento.scheduler import Done, Scheduler
from bento.settings import Settings
from bento.tokenizer import Tokenizer
from bento.types import Encoding, FloatArray, IntArray, MicroBatch, Window

logger = logging.getLogger("wordtell")


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
    batches: tuple[MicroBatch, ...]


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
        self._scheduler = Scheduler(runner, lanes, settings.api.max_queue_tokens)
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
        detector = cls(folder, OnnxRunner(folder, plan.threads_per_lane), settings, plan.lanes)
        detector.warm_up()
        logger.info("lanes: %d x %d threads, from %s and %s", plan.lanes, plan.threads_per_lane, cores, settings.cpu)
        logger.info(
            "serving %s from %s, loaded in %.1f s", detector.version, folder.path, time.perf_counter() - started
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
        unknown = [text for text in dict.fromkeys(texts) if text not in known]
        queue_s = 0.0
        if unknown:
            fresh, queue_s = await self._run(unknown, on_window)
            known |= fresh
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

    async def _run(self, texts: Sequence[str], on_window: Callable[[], None]) -> tuple[dict[str, FloatArray], float]:
        """Scores of texts that differ, by text, and the seconds that they waited for a lane."""
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(self._pool, self._prepare, texts)
        batches = [batch for text in prepared for batch in text.batches]
        done = await asyncio.wrap_future(self._scheduler.submit(batches, on_window))
        fresh = dict(zip(texts, await loop.run_in_executor(self._pool, self._align, prepared, done), strict=True))
        for text, scores in fresh.items():
            self._cache.put(text, scores)
        return fresh, done.queue_s

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
                batches = tuple(self._tokenizer.batch(encoding, span) for span in spans)
                prepared.append(_Prepared(words.split(text), encoding, spans, batches))
            return prepared

    def _align(self, prepared: Sequence[_Prepared], done: Done) -> list[FloatArray]:
        with metrics.STAGE_SECONDS.labels("align").time():
            logits = iter(done.logits)
            scores = []
            for text in prepared:
                pieces = [self._probabilities(next(logits)) for _ in text.windows]
                scores.append(words.score(text.words, text.encoding.offsets, windows.stitch(text.windows, pieces)))
            return scores

    def _probabilities(self, logits: FloatArray) -> FloatArray:
        content: FloatArray = np.asarray(self._tokenizer.content(logits))
        return words.positive_probability(content, self.manifest.positive_index)

"""A loaded model, which scores the texts of requests and of files."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from bento import metrics, passages, signing, tracing
from bento.alignment import Partial
from bento.artifact import ModelFolder
from bento.calibration import Calibration
from bento.detector import files
from bento.detector.preparation import Preparation, Request
from bento.detector.requests import Requests, Scores
from bento.engines import Runner, choice
from bento.errors import ArtifactError
from bento.passages import Threshold
from bento.scheduling.lanes import Scheduler
from bento.settings import Settings
from bento.types import FloatArray

logger = logging.getLogger("wordtell")


class Detector:
    """Scores texts with one model."""

    def __init__(self, folder: ModelFolder, runner: Runner, settings: Settings, reason: str = "") -> None:
        """`runner` computes the model of `folder`; `reason` says why it was chosen.

        Raises ConfigError when the settings do not fit the model.
        """
        self._folder = folder
        self.manifest = folder.manifest
        self.name = settings.model.name or folder.manifest.name
        self.abilities = runner.abilities
        self.engine = self.abilities.engine
        self.kernels = self.abilities.variant
        self.reason = reason
        self._api = settings.api
        self._preparation = Preparation(folder, settings)
        windows = f"{self._preparation.longest}.{self._preparation.overlap}"
        self.version = "-".join(
            (self.name, folder.manifest.precision, folder.manifest.digest, self.abilities.variant, windows)
        )
        self._scheduler = Scheduler(runner, settings.api, self._preparation.longest)
        self._requests = Requests(self._preparation, self._scheduler, settings.api.cache_mb << 20)
        metrics.MODEL_INFO.labels(self.version, self.manifest.precision, self.engine, self.kernels).set(1)

    @classmethod
    def load(cls, settings: Settings) -> Detector:
        """Read the model folder that the settings name, and warm up. Raises ArtifactError and ConfigError."""
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
        """Whether all threads that answer requests still run."""
        return self._scheduler.whole

    @property
    def calibration(self) -> Calibration | None:
        """The model folder's calibration; None if it has none."""
        return self._folder.calibration

    def threshold_for(self, words: int) -> Threshold:
        """The threshold of passages for a text of so many words, with what the calibration promises there."""
        return passages.threshold_for(self._folder.calibration, words)

    def expect_room(self, characters: int) -> None:
        """Raises Overloaded when the backlog has no room for half of the tokens that so many characters usually have.

        The server calls it before it reads a body. It counts half, because cached texts cost nothing, and because
        escaped characters make a body longer than its texts.
        """
        self._requests.expect_room(characters)

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
        """Score every word of every text.

        Equal texts are scored once, and texts whose scores are cached for this owner are not scored again. `on_window`
        is called after each window, on another thread. If the caller is cancelled, its waiting windows are dropped.

        owner: the client's identity; the cache and running work are shared only within one owner. field: the name of
        the list in errors. bounded: apply the limits in tokens of a text and of a request. background: run after all
        requests, and do not count for their admission. Raises Overloaded, TextTooLong and Untokenisable.
        """
        names = {text: f"{field}[{index}]" for index, text in reversed(list(enumerate(texts)))}
        limits = self._api if bounded else None
        request = Request(owner, names, on_window, limits, tracing.current(), background=background)
        return await self._requests.score(request, texts)

    async def score_document(self, text: str, partial: Partial, *, owner: str = "", field: str = "text") -> Scores:
        """Score one text within the limit of a document; `partial` gets the scores of each window as it is computed.

        Raises the errors of `score`.
        """
        request = Request(owner, {text: field}, lambda: None, self._api, tracing.current(), partial)
        return await self._requests.score(request, [text])

    def begin(self, texts: Sequence[str]) -> list[Future[FloatArray]]:
        """Tokenise texts on this thread and queue their windows; for files, whose reader waits for the results.

        No limit is applied and nothing is cached; the caller limits how many texts are queued. Returns one future per
        text, which gets its scores [words] or Untokenisable. Raises ModelNotReady after `close`.
        """
        return files.begin(self._preparation, self._scheduler, texts)

    def window_tokens(self, text: str) -> tuple[int, ...]:
        """The number of tokens of each window of a text, special tokens included."""
        return self._preparation.window_tokens(text)

    def warm_up(self) -> None:
        """Run every lane twice, to measure its speed. Raises ArtifactError when the graph cannot be run."""
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
        """Drop the windows that wait, and finish the runs that have begun."""
        self._scheduler.close()
        self._requests.close()

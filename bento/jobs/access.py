"""The state of a server's jobs: off, starting, ready or unavailable. One for the process."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from bento import metrics
from bento.detector import Detector
from bento.errors import WordtellError
from bento.jobs.database import Database
from bento.jobs.errors import JobsOff, JobsUnavailable
from bento.jobs.store import Store
from bento.jobs.worker import Worker
from bento.settings import JobsSettings

logger = logging.getLogger("wordtell")

# Seconds: until a request stops to wait for the database, until the database is asked whether it is back, until a
# stopping server stops to wait for it.
_ANSWER_S, _AGAIN_S, _STOP_S = 10.0, 2.0, 5.0
_THREADS = 8

Found = TypeVar("Found")


class Jobs:
    """Opens the database in the background, with retries; an unreachable database delays nothing else."""

    def __init__(self, settings: JobsSettings, detector: Callable[[], Detector]) -> None:
        """detector: raises ModelNotReady while there is none."""
        self._settings = settings
        self._detector = detector
        self._fault: str | None = "the jobs' database is being opened"
        self._answered = time.monotonic()
        self._store: Store | None = None
        self._database: Database | None = None
        self._worker: Worker | None = None
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="jobs-http")
        self._thread = threading.Thread(target=self._watch, name="jobs-watch", daemon=True)

    @property
    def on(self) -> bool:
        """Whether the settings ask for jobs."""
        return self._settings.folder is not None or self._settings.database_url is not None

    @property
    def state(self) -> Literal["off", "ready", "unavailable"]:
        """The state, as /api/v1/health shows it."""
        if not self.on:
            return "off"
        silent = time.monotonic() - self._answered > _ANSWER_S
        return "unavailable" if self._fault or silent else "ready"

    def start(self) -> None:
        """Begin to open the database."""
        if self.on:
            metrics.JOBS_UP.set_function(lambda: self.state == "ready")
            self._thread.start()

    def stop(self) -> None:
        """Give back the chunks that are being scored."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.stop(_STOP_S)
        if self.on:
            self._thread.join(_STOP_S)
        if self._database is not None:
            self._database.close()

    async def ask(self, call: Callable[..., Found], *arguments: Any) -> Found:
        """`call` with the Store and the arguments, in a thread. Raises JobsOff, JobsUnavailable, and what it raises."""
        if not self.on:
            raise JobsOff
        if self._store is None:
            raise JobsUnavailable(self._fault or "the server is shutting down")
        work = asyncio.get_running_loop().run_in_executor(self._threads, call, self._store, *arguments)
        try:
            return await asyncio.wait_for(work, _ANSWER_S)
        except (asyncio.TimeoutError, TimeoutError):  # two classes before Python 3.11
            raise JobsUnavailable("the jobs' database does not answer") from None

    def wake(self) -> None:
        """To be called when there is a new job."""
        if self._worker is not None:
            self._worker.wake()

    def _watch(self) -> None:
        """Open the database; ask it from time to time whether it is there."""
        while not self._stopping.is_set():
            try:
                if self._store is None:
                    self._open()
                else:
                    self._store.load()
                self._answered = time.monotonic()
                self._tell(None)
            except WordtellError as error:
                self._tell(getattr(error, "detail", error.message))
            except Exception:
                logger.exception("the jobs' database cannot be opened")
                self._tell("the jobs' database cannot be opened")
            self._stopping.wait(_AGAIN_S)

    def _open(self) -> None:
        """Raises JobsUnavailable and ConfigError."""
        self._database = Database.open(self._settings)
        self._store = Store(self._database, self._settings)
        self._worker = Worker(self._store, self._detector, self._settings)
        self._worker.start()

    def _tell(self, fault: str | None) -> None:
        if fault != self._fault:
            if fault:
                logger.error("jobs are unavailable: %s", fault)
            else:
                logger.info("jobs are ready")
            self._fault = fault

"""Scores the chunks of jobs in its own thread, with a lower share than requests."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from bento import cpu, metrics
from bento.detector import Detector
from bento.errors import ModelNotReady, WordtellError
from bento.jobs import lines
from bento.jobs.errors import JobsUnavailable
from bento.jobs.leases import Lease
from bento.jobs.store import Store
from bento.settings import JobsSettings

logger = logging.getLogger("wordtell")

# While the results of one chunk are written, the lanes run the other.
_CHUNKS = 2
# Seconds: how often an idle worker looks for chunks of other servers' jobs, and the database for what is over its time.
_IDLE_S, _SWEEP_S = 1.0, 15.0
_AWAY_S = 2.0

Found = TypeVar("Found")


class Worker:
    """Runs until stopped. Chunks that are not done then are given back."""

    def __init__(self, store: Store, detector: Callable[[], Detector], settings: JobsSettings) -> None:
        """detector: raises ModelNotReady while there is none."""
        self._store = store
        self._detector = detector
        self._settings = settings
        self._held: set[Lease] = set()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._come = asyncio.Event()
        self._threads = ThreadPoolExecutor(_CHUNKS + 2, thread_name_prefix="jobs")
        self._thread = threading.Thread(target=self._main, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """To be called when there is a new job."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._come.set)

    def stop(self, seconds: float) -> None:
        """Give back chunks that are not done. Waits at most this long, because the database may not answer."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(seconds)

    def _main(self) -> None:
        cpu.step_back()
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self) -> None:
        tasks = [asyncio.ensure_future(self._always(self._one)) for _ in range(_CHUNKS)]
        tasks.append(asyncio.ensure_future(self._always(self._sweep)))
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lease in list(self._held):
            with suppress(JobsUnavailable):
                await self._ask(self._store.leases.release, lease)
        self._threads.shutdown(wait=False)

    async def _always(self, step: Callable[[], Any]) -> None:
        """Run steps until stopped. An internal error must not end the jobs of this server."""
        while True:
            try:
                await step()
            except JobsUnavailable:
                await asyncio.sleep(_AWAY_S)
            except ModelNotReady:
                await asyncio.sleep(_IDLE_S)
            except Exception:
                logger.exception("a step of the jobs' worker failed")
                await asyncio.sleep(_AWAY_S)

    async def _one(self) -> None:
        """One chunk, if there is any."""
        detector = self._detector()
        self._come.clear()
        lease = await self._ask(self._store.leases.take)
        if lease is None:
            with suppress(asyncio.TimeoutError, TimeoutError):  # two classes before Python 3.11
                await asyncio.wait_for(self._come.wait(), _IDLE_S)
            return
        self._held.add(lease)
        work = asyncio.ensure_future(self._work(detector, lease))
        lost = asyncio.ensure_future(self._keep(lease))
        try:
            await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
            end = work.result() if work.done() else "lost"
        except asyncio.CancelledError:
            raise  # it stays in the list of chunks to give back
        except ModelNotReady:  # the server stops
            await self._ask(self._store.leases.release, lease)
            raise
        finally:
            work.cancel()
            lost.cancel()
        self._held.discard(lease)
        metrics.JOBS_CHUNKS.labels(end).inc()

    async def _work(self, detector: Detector, lease: Lease) -> str:
        """Score a chunk, and write its results as soon as the database accepts them."""
        dead = None
        if lease.attempts > self._settings.max_attempts:
            dead = (
                f"chunk {lease.number}: {lease.attempts - 1} servers ended while they scored it"
                " (jobs.max_attempts): send its texts again, in smaller jobs"
            )
            results, failed = lines.given_up(lease.payload, dead), lease.texts
        else:
            results, failed = await score(detector, lease)
        text = lines.joined(results)
        while True:
            try:
                done = await self._ask(self._store.leases.complete, lease, text, failed, detector.version, dead)
            except JobsUnavailable:
                await asyncio.sleep(_AWAY_S)
            else:
                return ("dead" if dead else "done") if done else "lost"

    async def _keep(self, lease: Lease) -> None:
        """Renew the lease until it is lost."""
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            with suppress(JobsUnavailable):
                if not await self._ask(self._store.leases.renew, lease):
                    return

    async def _sweep(self) -> None:
        await self._ask(self._store.sweep)
        load = await self._ask(self._store.load)
        for state, count in load.jobs.items():
            metrics.JOBS.labels(state).set(count)
        metrics.JOBS_TEXTS.set(load.texts)
        metrics.JOBS_OLDEST.set(load.oldest_s)
        if self._settings.folder is not None:
            metrics.JOBS_FREE_BYTES.set(shutil.disk_usage(self._settings.folder).free)
        await asyncio.sleep(_SWEEP_S)

    async def _ask(self, call: Callable[..., Found], *arguments: Any) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


async def score(detector: Detector, lease: Lease) -> tuple[list[bytes], int]:
    """The result lines of a chunk, and how many of them are errors. Raises ModelNotReady while the server stops."""
    texts = lines.texts_of(lease.payload)
    wanted = [line["text"] for line in texts if "text" in line]
    try:
        together = iter(await _scores(detector, wanted, lease.owner))
        found = [
            lines.scored(line["id"], next(together)) if "text" in line else lines.unchanged(line) for line in texts
        ]
        return found, len(texts) - len(wanted)
    except ModelNotReady:
        raise
    except Exception as error:  # of one of them: which?
        if not isinstance(error, WordtellError):
            logger.exception("a chunk of a job failed; its texts are scored one by one")
    found, failed = [], 0
    for line in texts:
        if "text" in line:
            try:
                (scores,) = await _scores(detector, [line["text"]], lease.owner)
                found.append(lines.scored(line["id"], scores))
                continue
            except ModelNotReady:
                raise
            except WordtellError as error:
                found.append(lines.failed(line["id"], error))
            except Exception:
                logger.exception("a text of a job cannot be scored")
                found.append(lines.failed(line["id"], WordtellError()))
        else:
            found.append(lines.unchanged(line))
        failed += 1
    return found, failed


async def _scores(detector: Detector, texts: list[str], owner: str) -> Any:
    if not texts:
        return ()
    return (await detector.score(texts, owner=owner, field="text", bounded=True, background=True)).words

"""Scores the texts of files, without limits and cache: the reader of a file waits for its results."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from bento.alignment import Prepared
from bento.detector.preparation import Preparation, Request
from bento.errors import Untokenisable
from bento.scheduling.backlog import Done
from bento.scheduling.lanes import Scheduler
from bento.types import FloatArray


def begin(preparation: Preparation, scheduler: Scheduler, texts: Sequence[str]) -> list[Future[FloatArray]]:
    """See Detector.begin."""
    request = Request("", {text: f"texts[{index}]" for index, text in enumerate(texts)}, _nothing, None, None)
    try:
        prepared: list[Prepared] = preparation.prepare(request, texts)
    except Untokenisable as error:
        if len(texts) > 1:
            return [future for text in texts for future in begin(preparation, scheduler, [text])]
        failed: Future[FloatArray] = Future()
        failed.set_exception(error)
        return [failed]
    futures: list[Future[FloatArray]] = [Future() for _ in texts]
    work = scheduler.submit([text.ids for text in prepared])
    for found, made, future in zip(futures, prepared, work, strict=True):
        future.add_done_callback(partial(_deliver, preparation, request, made, found))
    return futures


def _deliver(
    preparation: Preparation, request: Request, text: Prepared, found: Future[FloatArray], work: Future[Done]
) -> None:
    """Called on the lane that ran the last window of a text."""
    if work.cancelled():
        found.cancel()
        return
    try:
        found.set_result(preparation.align(request, text, work.result()))
    except BaseException as error:
        found.set_exception(error)


def _nothing() -> None:
    """The `on_window` of files, which count no windows."""

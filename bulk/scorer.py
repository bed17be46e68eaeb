"""Rows -> rows with their scores, in the same order. Texts are queued ahead, so that lanes do not wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from bento.detector import Detector
from bento.types import FloatArray
from bulk.readers import Row

# Characters of texts that are queued at a time, and that may be queued or wait for an earlier text: enough work for a
# fast model's lanes while a shard is synced to a slow disk, and about 10 MB with tokens and logits.
_GROUP_CHARACTERS = 16_000
_AHEAD_CHARACTERS = 256_000


@dataclass(frozen=True)
class Scored:
    """A row and its scores [words]; without any where it has an error."""

    row: Row
    scores: FloatArray | None = None
    error: str | None = None


def score(detector: Detector, rows: Iterable[Row]) -> Iterator[Scored]:
    """Score every row; a row that cannot be scored gets an error. At most `_AHEAD_CHARACTERS` and one row more are in
    memory.

    Reading, tokenising and whatever is done with the results are on this thread, the model on the lanes.
    """
    waiting: deque[tuple[Row, Future[FloatArray] | None]] = deque()
    ahead = 0
    for group in _groups(rows):
        futures = iter(detector.begin([row.text for row in group if _is_scored(row)]))
        for row in group:
            waiting.append((row, next(futures) if _is_scored(row) else None))
            ahead += len(row.text)
        while waiting and ahead > _AHEAD_CHARACTERS:
            yield _result(*waiting[0])
            ahead -= len(waiting.popleft()[0].text)
    while waiting:
        yield _result(*waiting.popleft())


def _result(row: Row, future: Future[FloatArray] | None) -> Scored:
    if future is None:
        return Scored(row, error=row.error or "has no word")
    try:
        return Scored(row, future.result())
    except Exception as error:  # whatever the engine raises
        return Scored(row, error=(str(error).strip().splitlines() or [type(error).__name__])[0])


def _is_scored(row: Row) -> bool:
    return row.error is None and not (row.text.isspace() or not row.text)


def _groups(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    group: list[Row] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += len(row.text) + 1
        if characters >= _GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group

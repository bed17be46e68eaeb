"""Scores of earlier texts, by a hash of the owner (the API key) and the text. The texts are not kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import blake2b

from bento.types import FloatArray

# What an entry costs beside its array's numbers: key, array header and the dictionary's own bookkeeping, rounded up.
_OVERHEAD_BYTES = 320


class ScoreCache:
    """The most recently used scores that fit into `limit` bytes, of one model. Safe to call from several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._scores: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, owner: str, text: str) -> FloatArray | None:
        """The scores [words] of a text that was put for the same owner, or None."""
        with self._lock:
            scores = self._scores.get(key := _key(owner, text))
            if scores is not None:
                self._scores.move_to_end(key)
            return scores

    def put(self, owner: str, text: str, scores: FloatArray) -> None:
        """Keep the scores of an owner's text, and drop the least recently used ones that no longer fit."""
        cost = scores.nbytes + _OVERHEAD_BYTES
        with self._lock:
            if cost > self._limit or (key := _key(owner, text)) in self._scores:
                return
            self._scores[key] = scores
            self._bytes += cost
            while self._bytes > self._limit:
                _, dropped = self._scores.popitem(last=False)
                self._bytes -= dropped.nbytes + _OVERHEAD_BYTES


def _key(owner: str, text: str) -> bytes:
    whose = blake2b(owner.encode(), digest_size=16).digest()
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=whose).digest()

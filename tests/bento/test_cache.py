"""The cache gives back what was put, forgets the oldest, and stays within its bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bento.cache import _OVERHEAD_BYTES, ScoreCache


def scores(words: int) -> np.ndarray:
    return np.linspace(0, 1, words, dtype=np.float32)


def test_what_was_put_comes_back() -> None:
    cache = ScoreCache(10_000)
    cache.put("", "a b", scores(2))
    found = cache.get("", "a b")
    assert found is not None
    assert found.tolist() == [0.0, 1.0]
    assert cache.get("", "a c") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = ScoreCache(2 * (_OVERHEAD_BYTES + 8))
    cache.put("", "one", scores(2))
    cache.put("", "two", scores(2))
    cache.get("", "one")
    cache.put("", "three", scores(2))
    assert cache.get("", "two") is None
    assert cache.get("", "one") is not None
    assert cache.get("", "three") is not None


def test_no_bytes_means_no_cache() -> None:
    cache = ScoreCache(0)
    cache.put("", "a", scores(1))
    assert cache.get("", "a") is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 300)), max_size=50), st.integers(0, 4000))
def test_it_never_holds_more_than_its_limit(puts: list[tuple[int, int]], limit: int) -> None:
    cache = ScoreCache(limit)
    for name, words in puts:
        cache.put("", str(name), scores(words))
    held = [found for name in range(10) if (found := cache.get("", str(name))) is not None]
    assert sum(found.nbytes + _OVERHEAD_BYTES for found in held) <= limit

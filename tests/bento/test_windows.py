"""Windows cover every token, and leave no seam."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.text import windows
from bento.types import Window


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, int]:
    limit = draw(st.integers(1, 64))
    return draw(st.integers(0, 1000)), limit, draw(st.integers(0, limit - 1))


@given(shapes())
def test_every_token_is_covered_and_neighbours_share_the_overlap(shape: tuple[int, int, int]) -> None:
    length, limit, overlap = shape
    pieces = windows.split(length, limit, overlap)
    assert pieces[0].start == 0
    assert pieces[-1].stop == length
    assert all(len(piece) <= limit for piece in pieces)
    for left, right in pairwise(pieces):
        assert left.start < right.start
        assert left.stop - right.start >= overlap


@given(shapes())
def test_no_fewer_windows_would_do_and_all_have_one_length(shape: tuple[int, int, int]) -> None:
    length, limit, overlap = shape
    pieces = windows.split(length, limit, overlap)
    assert len({len(piece) for piece in pieces}) == 1
    fewer = len(pieces) - 1
    assert fewer == 0 or fewer * (limit - overlap) + overlap < length


@given(shapes(), st.integers(0, 2**32 - 1))
def test_windows_that_agree_give_back_what_they_say(shape: tuple[int, int, int], seed: int) -> None:
    length, limit, overlap = shape
    truth = np.random.default_rng(seed).random(length, dtype=np.float32)
    pieces = windows.split(length, limit, overlap)
    stitched = windows.stitch(pieces, [truth[piece.start : piece.stop] for piece in pieces])
    assert stitched == pytest.approx(truth, abs=1e-6)


@given(shapes())
def test_windows_that_disagree_leave_no_seam(shape: tuple[int, int, int]) -> None:
    """Every other window says 1, the rest 0: from token to token the result moves no faster than the overlap allows."""
    length, limit, overlap = shape
    pieces = windows.split(length, limit, overlap)
    says = [np.full(len(piece), i % 2, dtype=np.float32) for i, piece in enumerate(pieces)]
    steps = np.abs(np.diff(windows.stitch(pieces, says)))
    if 0 < overlap <= limit // 2:
        assert steps.max(initial=0) <= 1 / (overlap + 1) + 1e-6


def test_a_token_at_a_windows_edge_counts_less_there() -> None:
    pieces = (Window(0, 4), Window(2, 6))
    stitched = windows.stitch(pieces, [np.zeros(4, dtype=np.float32), np.ones(4, dtype=np.float32)])
    assert stitched == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize("overlap", [-1, 8, 9])
def test_an_overlap_that_fits_no_window_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap must be"):
        windows.split(100, 8, overlap)

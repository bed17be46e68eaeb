"""The first windows' scores are those that the whole text will have."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bento.alignment import Alignment, Partial, Prepared
from bento.artifact import ModelFolder
from bento.text import windows, words
from bento.text.tokenizer import Tokenizer
from tests import fakes

TEXTS = st.lists(st.sampled_from(["the", "moment", "a", "\u200b", "x" * 30]), min_size=1, max_size=60).map(" ".join)


def prepare(tokenizer: Tokenizer, text: str) -> Prepared:
    encoding = tokenizer.encode(text)
    spans = windows.split(len(encoding), 20, 8)
    return Prepared(words.split(text), encoding, spans, tuple(tokenizer.ids(encoding, span) for span in spans))


@given(text=TEXTS, order=st.randoms(use_true_random=False))
def test_parts_are_beginnings_of_the_whole(fake_folder: ModelFolder, text: str, order: Random) -> None:
    tokenizer = Tokenizer(fake_folder.tokenizer)
    alignment = Alignment(tokenizer, fake_folder.manifest)
    prepared = prepare(tokenizer, text)
    logits = [np.array([[0.0, fakes.logit(int(one))] for one in ids], dtype=np.float32) for ids in prepared.ids]
    whole = alignment.score(prepared, list(map(alignment.probabilities, logits)))
    told: list[None] = []
    partial = Partial(lambda: told.append(None))
    assert len(partial.scores()) == 0
    partial.begin(prepared, alignment)
    assert len(partial.scores()) == 0
    known = 0
    for index in order.sample(range(len(logits)), len(logits)):
        partial.add(index, logits[index])
        found = partial.scores()
        assert len(found) >= known
        known = len(found)
        assert np.allclose(found, whole[:known], atol=1e-6)
    assert np.array_equal(partial.scores(), whole)
    assert len(told) == 1 + len(logits)

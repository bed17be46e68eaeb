"""The hostile bodies are what their names say, and small enough to be sent."""

from __future__ import annotations

import json
import zlib

import pytest

from benchmarks import bodies
from bento.settings import ApiSettings

LIMITS = ApiSettings()


@pytest.mark.parametrize("body", bodies.bodies(), ids=lambda body: body.name)
def test_a_body_is_within_the_limit_of_bytes(body: bodies.Body) -> None:
    assert len(body.make(bodies.SIZE)) <= LIMITS.max_body_bytes


@pytest.mark.parametrize(("make", "wbits"), [(bodies.gzip_bomb, 31), (bodies.deflate_bomb, 15)])
def test_a_bomb_holds_a_thousand_times_its_size(make: bodies.Maker, wbits: int) -> None:
    packed = make(100_000)
    assert len(zlib.decompressobj(wbits).decompress(packed)) > 900 * len(packed)


def test_texts_of_many_tokens_are_within_the_limits_of_characters_and_words() -> None:
    names = [name for name in bodies.TEXTS if "texts of 19,000" in name]
    assert len(names) == 4
    for name in names:
        texts = json.loads(bodies.TEXTS[name][0](bodies.SIZE))
        assert len(set(texts)) == int(name.split()[0]) <= LIMITS.max_sentences
        assert all(18_000 < len(text) <= LIMITS.max_characters for text in texts)
        assert all(len(text.split()) <= LIMITS.max_words for text in texts)

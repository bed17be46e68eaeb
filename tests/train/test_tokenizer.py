"""The vocabulary: its special tokens, that it is reproducible, and that every word of any text gets a token."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from train import tokenizer as vocabulary
from train.corpus import by_split, sentences
from train.dataset import word_of_token

SIZE = 600


def pieces() -> list[str]:
    text = by_split("train")[-1].text
    return [text[a:b] for a, b in sentences(text)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return vocabulary.train(pieces(), SIZE)


def test_special_tokens_have_their_ids(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in vocabulary.SPECIAL] == [0, 1, 2, 3, 4]
    assert tokenizer.get_vocab_size() == SIZE
    ids = tokenizer.encode("The Nation").ids
    assert (ids[0], ids[-1]) == (1, 2)
    assert 3 not in ids


def test_training_again_makes_the_same_vocabulary(tokenizer: Tokenizer) -> None:
    assert vocabulary.train(pieces(), SIZE).to_str() == tokenizer.to_str()


def test_typography_does_not_matter(tokenizer: Tokenizer) -> None:
    curly, straight = "\u201cWe\u2019re here\u201d\u2014now", '"We\'re here" - now'
    assert tokenizer.encode(curly).ids == tokenizer.encode(straight).ids


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_word_of_any_text_gets_a_token(tokenizer: Tokenizer, text: str) -> None:
    owners = word_of_token(text, tokenizer.encode(text).offsets)
    assert set(range(len(text.split()))) <= set(owners)


def test_unknown_characters_are_unknown_tokens(tokenizer: Tokenizer) -> None:
    assert "[UNK]" in [tokenizer.id_to_token(i) for i in tokenizer.encode("日本").ids]


def test_transformers_reads_the_saved_folder(tokenizer: Tokenizer, tmp_path: Path) -> None:
    vocabulary.save(tokenizer, tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    text = "The state of our Union — “strong”."
    assert read(text)["input_ids"] == tokenizer.encode(text).ids
    assert (read.pad_token_id, read.unk_token_id, read.mask_token_id) == (0, 3, 4)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == vocabulary.WINDOW


def test_blocks_hold_the_text_once(tokenizer: Tokenizer) -> None:
    texts = pieces()[:40]
    ids = [i for text in texts for i in tokenizer.encode(text, add_special_tokens=False).ids]
    blocks = list(vocabulary.blocks(tokenizer, texts, 32))
    assert {(len(b), b[0], b[-1]) for b in blocks} == {(32, 1, 2)}
    inner = [i for block in blocks for i in block[1:-1]]
    assert inner == ids[: len(inner)]
    assert len(ids) - len(inner) < 30

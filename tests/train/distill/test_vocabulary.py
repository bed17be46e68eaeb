"""Pruned vocabularies: texts that were given keep their tokens, and no text loses one to the unknown token."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from train.distill.errors import UnfitStudent
from train.distill.vocabulary import prune

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
PROSE = (
    "The committee met on Tuesday, and after a long debate it agreed to postpone the vote. "
    "Whoever wrote this unbelievable committee's report, unhappily, debated with nobody: the voters voted anyway. "
    "Naïve façades; 1,234 votes - and “quotes” of 日本 and Ünïcödé."
)
SENTENCES = [PROSE, *(PROSE[at : at + 30] for at in range(0, len(PROSE) - 30, 3))]


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    unknown: dict[str, Any] = {"unk_token": "[UNK]"}
    tokenizer.train_from_iterator(
        SENTENCES, trainers.UnigramTrainer(vocab_size=170, special_tokens=SPECIAL, show_progress=False, **unknown)
    )
    document = json.loads(tokenizer.to_str())
    # Tokens of several characters that have none of their own, as a large vocabulary has.
    document["model"]["vocab"] = [one for one in document["model"]["vocab"] if one[0] not in ("ß", "Ω")]
    document["model"]["vocab"] += [["Ωß", -5.0], ["▁ßß", -6.0], ["▁aΩ", -7.0]]
    return Tokenizer.from_str(json.dumps(document))


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=260, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    document = json.loads(tokenizer.to_str())
    document["model"]["vocab"] |= {"Ωß": 900, "##ßß": 901}  # ids with a gap before them
    return Tokenizer.from_str(json.dumps(document))


def bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def finished(make: Any) -> Tokenizer:
    tokenizer: Tokenizer = make()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


KINDS = {make.__name__: finished(make) for make in (unigram, wordpiece, bpe)}
GIVEN = ["The committee met.", "Nobody voted on Tuesday", "a ßß debate"]
PRUNED = {name: prune(tokenizer.to_str(), GIVEN, 0) for name, tokenizer in KINDS.items()}
SMALL = {name: Tokenizer.from_str(pruned.text) for name, pruned in PRUNED.items()}


def unknown(tokenizer: Tokenizer, text: str) -> int:
    """Characters that are unknown; neighbours are one token."""
    found, number = tokenizer.encode(text), tokenizer.token_to_id("[UNK]")
    return sum(stop - start for one, (start, stop) in zip(found.ids, found.offsets, strict=True) if one == number)


@pytest.mark.parametrize("name", KINDS)
def test_texts_that_were_given_keep_their_tokens(name: str) -> None:
    for text in GIVEN:
        before, after = KINDS[name].encode(text), SMALL[name].encode(text)
        assert after.tokens == before.tokens
        assert after.offsets == before.offsets
        assert [PRUNED[name].rows[number] for number in after.ids] == [[number] for number in before.ids]


@pytest.mark.parametrize("name", KINDS)
def test_the_vocabulary_is_smaller_and_its_ids_are_its_rows(name: str) -> None:
    vocabulary, before = SMALL[name].get_vocab(), KINDS[name].get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(PRUNED[name].rows)))
    assert len(vocabulary) < len(before)
    assert all(PRUNED[name].rows[number] == [before[token]] for token, number in vocabulary.items() if token in before)
    assert set(vocabulary) - set(before) == {
        token for token, number in vocabulary.items() if PRUNED[name].rows[number] != [before.get(token)]
    }
    assert PRUNED[name].places[0] == 0


LETTERS = st.text(string.ascii_letters + " -,.;'ßΩïëö日本語\t1234", max_size=40)
PARTS = st.lists(st.sampled_from([*PROSE.split(), "Ωß", "ßß", "aΩ", "ß", "committees", "ununvote"]), max_size=8)


@pytest.mark.parametrize("name", KINDS)
@given(text=LETTERS | PARTS.map(" ".join) | PARTS.map("".join))
def test_nothing_becomes_unknown_that_was_not(name: str, text: str) -> None:
    assert unknown(SMALL[name], text) <= unknown(KINDS[name], text)


@pytest.mark.parametrize("name", KINDS)
def test_other_prose_falls_into_as_many_tokens_or_more(name: str) -> None:
    for text in SENTENCES:
        assert len(SMALL[name].encode(text)) >= len(KINDS[name].encode(text)) - unknown(KINDS[name], text)


@pytest.mark.parametrize("name", KINDS)
@given(text=LETTERS | PARTS.map(" ".join))
def test_pruning_by_a_text_keeps_its_tokens(name: str, text: str) -> None:
    small = Tokenizer.from_str(prune(KINDS[name].to_str(), [text], 0).text)
    before = KINDS[name].encode(text)
    assert unknown(KINDS[name], text) or small.encode(text).tokens == before.tokens


def test_special_tokens_beyond_the_vocabulary_follow_it() -> None:
    document = json.loads(KINDS["unigram"].to_str())
    document["added_tokens"].append(document["added_tokens"][0] | {"id": 400, "content": "[MORE]"})
    pruned = prune(json.dumps(document), GIVEN, 0)
    small = Tokenizer.from_str(pruned.text)
    assert small.token_to_id("[MORE]") == len(pruned.rows) - 1
    assert pruned.rows[-1] == [400]


def test_a_padding_id_that_positions_are_counted_from_stays() -> None:
    pruned = prune(KINDS["bpe"].to_str(), GIVEN, 3)
    assert [pruned.places[number] for number in range(4)] == [0, 1, 2, 3]


def test_a_vocabulary_of_whole_words_is_refused() -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))  # noqa: S106
    with pytest.raises(UnfitStudent, match="of the kind WordLevel cannot be pruned; leave --prune-vocabulary out"):
        prune(words.to_str(), GIVEN)

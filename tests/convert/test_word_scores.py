"""From logits to words as training had it: sigmoids, several positive labels, the mean, first or highest token."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForTokenClassification

from bento import artifact
from bento.artifact import MANIFEST
from bento.checkpoint import reading as checkpoint
from bento.text import words
from bento.text.tokenizer import Tokenizer
from bento.types import WordScore
from convert import measure, verify
from convert.conversion import convert
from convert.errors import LabelError
from convert.order import Order
from convert.texts import Asked, Text
from tests.convert.conftest import CORPUS, SPECIAL, MakeCheckpoint
from tests.convert.test_checkpoint import edit
from tests.convert.test_verify import quiet

RULES: tuple[WordScore, ...] = ("mean", "first", "max")
TEXT = "Who wrote 漢this? Żółw, и committee — naïve 😀 Zürich x"


def sentencepiece() -> Any:
    """Whole-word marks for words that it knows, a lone mark before others."""
    unigram = tokenizers.Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unknown: dict[str, Any] = {"unk_token": SPECIAL[3]}
    trainer = trainers.UnigramTrainer(vocab_size=80, special_tokens=SPECIAL, show_progress=False, **unknown)
    unigram.train_from_iterator(CORPUS, trainer)
    return unigram


def byte_level() -> Any:
    """As RoBERTa's: offsets without the space, which is in the token."""
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(CORPUS, trainer)
    bpe.post_processor = processors.ByteLevel(trim_offsets=True)
    return bpe


def wordpiece() -> Any:
    pieces = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token of text
    pieces.normalizer = normalizers.BertNormalizer()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=90, special_tokens=SPECIAL, show_progress=False)
    )
    return pieces


KINDS: dict[str, Callable[[], Any]] = {
    "sentencepiece": sentencepiece,
    "byte-level": byte_level,
    "wordpiece": wordpiece,
}


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Tokenizer]:
    fast = KINDS[request.param]()
    fast.post_processor = processors.Sequence(
        [
            *([fast.post_processor] if fast.post_processor else []),
            processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]),
        ]
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    fast.save(str(path))
    return fast, Tokenizer(path)


def score(served: Tokenizer, text: str, values: np.ndarray, rule: WordScore) -> list[float]:
    encoding = served.encode(text)
    marks = served.marks(encoding) if rule == "first" else None
    return list(words.score(words.split(text), encoding.offsets, values, rule, marks))


def test_the_first_token_is_that_of_training_word_by_word(kind: tuple[Any, Tokenizer]) -> None:
    """Most recipes give the tokenizer a list of words, and a label to the first token of each."""
    fast, served = kind
    trained = fast.encode(TEXT.split(), is_pretokenized=True)
    firsts: dict[int, int] = {}
    for number, word in zip(trained.ids, trained.word_ids, strict=True):
        if word is not None:
            firsts.setdefault(word, number)
    # A token's id in place of its probability tells which token was taken.
    found = score(served, TEXT, served.encode(TEXT).ids / 1000, "first")
    assert [round(value * 1000) for value in found] == [firsts[word] for word in range(len(TEXT.split()))]


def test_a_lone_mark_was_among_them() -> None:
    tokens = sentencepiece().encode(TEXT, add_special_tokens=False).tokens
    assert tokens.count("▁") > 2


@given(st.text() | st.text(alphabet=" \n\u3000\u200bWhotewris漢é▁Ġ😀"), st.sampled_from(RULES))
def test_the_served_rule_and_the_one_that_verifies_it_agree(
    kind: tuple[Any, Tokenizer], text: str, rule: WordScore
) -> None:
    fast, served = kind
    encoding = served.encode(text)
    values = (encoding.ids * 37 % 101 / 101).astype(np.float32)
    tokens = [fast.id_to_token(int(number)) for number in encoding.ids]
    expected = verify.word_scores(text, tokens, encoding.offsets.tolist(), values.tolist(), rule)
    assert score(served, text, values, rule) == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(("rule", "binary"), [("mean", False), ("first", True), ("max", False)])
def test_each_rule_is_served_and_verified(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, rule: WordScore, binary: bool
) -> None:
    """Against transformers itself, one text in one window, its words' tokens named by hand."""
    labels = {0: "human", 1: "machine"} if binary else {0: "O", 1: "B-AI", 2: "I-AI"}
    source = make_checkpoint("deberta-v3", labels=labels)
    order = Order(source=str(source), out=tmp_path / "out", precision="fp32", word_score=rule)
    result = convert(order, quiet)
    assert result.variants["fp32"].figures.max_dp < 1e-5
    assert result.manifest.word_score == rule
    assert result.manifest.positive_labels == (("machine",) if binary else ("B-AI", "I-AI"))
    text = "Who wrote this? 漢"
    fast = tokenizers.Tokenizer.from_file(str(order.out / "tokenizer.json"))
    encoding = fast.encode(text)
    model = AutoModelForTokenClassification.from_pretrained(source).eval()
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([encoding.ids])).logits[0].double()
    probabilities = torch.softmax(logits, dim=-1)[:, 1:].sum(dim=-1)[1:-1].tolist()
    groups: list[list[float]] = []
    for token, probability in zip(encoding.tokens[1:-1], probabilities, strict=True):
        if token.startswith("▁"):
            groups.append([])
        # A mark that is alone stands on the space before its word, and overlaps no word: but for that of a text's first
        # word, which stands on the word's first letter.
        if token != "▁" or rule == "first" or len(groups) == 1:  # noqa: S105 - a token of text
            groups[-1].append(probability)
    take: dict[WordScore, Callable[[list[float]], float]] = {
        "mean": np.mean,
        "first": lambda group: group[0],
        "max": max,
    }
    found = measure.measure(order.out, [text], 1, lambda: None, fused=False).probabilities[0]
    assert found == pytest.approx([float(take[rule](group)) for group in groups], abs=1e-5)


def test_a_folder_that_scores_by_another_rule_is_found_out(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    source = make_checkpoint("deberta-v3")
    order = Order(source=str(source), out=tmp_path / "out", precision="fp32")
    convert(order, quiet)
    asked = (Text("Who wrote this, and after a long debate?"),)
    expected = verify.reference(order.out, checkpoint.read(str(source)).model, asked, lambda: None)
    for change in (
        {"word_score": "first"},
        {"word_score": "max"},
        {"activation": "sigmoid"},
        {"positive_label": "human"},
    ):
        other = tmp_path / "other"
        shutil.copytree(order.out, other, dirs_exist_ok=True)
        manifest = json.loads((order.out / MANIFEST).read_text()) | change
        (other / MANIFEST).write_text(json.dumps(manifest))
        figures = verify.compare(expected, verify.measure(other, Asked(asked, 1)), order.threshold, 1)
        assert order.limits("fp32").exceeded(figures) is not None, change


def test_labels_that_stand_for_themselves_have_a_sigmoid_each(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    source = make_checkpoint("deberta-v3", labels={0: "human", 1: "machine", 2: "edited"})
    edit(source, problem_type="multi_label_classification")
    order = Order(source=str(source), out=tmp_path / "out", precision="auto", max_mean_dp=0.1, max_flips=1)
    result = convert(order, quiet)
    assert result.variants["fp32"].figures.max_dp < 1e-5
    assert artifact.load(order.out).manifest.activation == "sigmoid"
    text = "who"
    ids = tokenizers.Tokenizer.from_file(str(order.out / "tokenizer.json")).encode(text).ids
    with torch.inference_mode():
        logits = checkpoint.read(str(source)).model(input_ids=torch.tensor([ids])).logits[0, 1:-1]
    found = measure.measure(order.out, [text], 1, lambda: None, fused=False).probabilities[0]
    assert found == pytest.approx([float(torch.sigmoid(logits[:, 1]).mean())], abs=0.02)
    source = make_checkpoint("deberta-v3", labels={0: "O", 1: "B-AI", 2: "I-AI"})
    edit(source, problem_type="multi_label_classification")
    with pytest.raises(
        LabelError, match=r"B-AI, I-AI have a sigmoid each.*give one --positive-label of: O, B-AI, I-AI"
    ):
        convert(Order(source=str(source), out=tmp_path / "none", precision="fp32"), quiet)

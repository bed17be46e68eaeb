"""Every family from its checkpoint to a folder that is served, with a tokenizer of its own kind."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from bento import artifact
from bento.checkpoint import families, names
from bento.checkpoint import reading as checkpoint
from bento.native import LIBRARY
from bento.text.tokenizer import Tokenizer
from bento.types import Window
from convert.conversion import convert
from convert.order import Order
from tests.convert.conftest import CHECKPOINTS, CORPUS, SPECIAL, MakeCheckpoint
from tests.convert.test_checkpoint import edit, refusal
from tests.convert.test_verify import quiet


def test_every_architecture_is_a_family_with_a_checkpoint_in_these_tests() -> None:
    assert families.FAMILIES.keys() == names.ARCHITECTURES.keys() == {kind for kind, _ in CHECKPOINTS.values()}


@pytest.mark.parametrize("kind", ["albert", "longformer", "gpt2", None])
def test_one_that_is_not_covered_is_named_with_those_that_are(
    make_checkpoint: MakeCheckpoint, kind: str | None
) -> None:
    folder = make_checkpoint()
    edit(folder, model_type=kind)
    assert f"the architecture {kind!r} is not covered; these are: {', '.join(names.ARCHITECTURES)}" in refusal(folder)


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("bert", 1026),
        ("electra", 1026),
        ("distilbert", 1026),
        ("roberta", 1024),
        ("xlm-roberta", 1024),
        ("camembert", 1024),
        ("mpnet", 1024),
        ("deberta-v1-absolute-positions", 1026),
        ("deberta-v1", None),
        ("deberta-v3", None),
        ("modernbert", None),
    ],
)
def test_rows_of_the_table_of_positions_are_the_limit(
    make_checkpoint: MakeCheckpoint, kind: str, limit: int | None
) -> None:
    assert checkpoint.read(str(make_checkpoint(kind))).position_limit == limit


def pieces() -> bytes:
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*CORPUS, "find"]), model_writer=trained, vocab_size=36, minloglevel=2
    )
    return trained.getvalue()


@pytest.mark.parametrize(("kind", "offset", "around"), [("camembert", 4, [5, 6]), ("xlm-roberta", 1, [0, 2])])
def test_sentencepiece_becomes_a_fast_tokenizer_with_the_ids_that_fairseq_gave(
    make_checkpoint: MakeCheckpoint, kind: str, offset: int, around: list[int]
) -> None:
    folder = make_checkpoint(kind)
    (folder / "tokenizer.json").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(pieces())
    fast = tokenizers.Tokenizer.from_str(checkpoint.read(str(folder)).tokenizer)
    slow = sentencepiece.SentencePieceProcessor(model_proto=pieces())
    for text in [*CORPUS, "ﬁnd \uff37ho"]:
        assert fast.encode(text).ids == [around[0], *(one + offset for one in slow.encode(text)), around[1]]


def test_a_word_list_of_mpnet_becomes_a_fast_tokenizer(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("mpnet")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(["<s>", "<pad>", "</s>", "[UNK]", "who", "wrote", "##r", "<mask>"]))
    fast = tokenizers.Tokenizer.from_str(checkpoint.read(str(folder)).tokenizer)
    assert fast.encode("Who wroter").tokens == ["<s>", "who", "wrote", "##r", "</s>"]


def of_bytes() -> tokenizers.Tokenizer:
    """As ModernBERT has it: pairs of bytes, [CLS] and [SEP] around a text."""
    fast = tokenizers.Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    fast.train_from_iterator(CORPUS, trainer)
    fast.decoder = decoders.ByteLevel()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return fast


def of_words() -> tokenizers.Tokenizer:
    """As MPNet has it: pieces of words, <s> and </s> around a text."""
    vocabulary = {token: place for place, token in enumerate(["<s>", "<pad>", "</s>", "[UNK]", "who", "wrote", "##r"])}
    fast = transformers.MPNetTokenizer(vocab=vocabulary).backend_tokenizer
    assert isinstance(fast, tokenizers.Tokenizer)
    return fast


def of_pieces() -> tokenizers.Tokenizer:
    """As CamemBERT has it: pieces of texts, <s> and </s> around them."""
    scores = [("<s>NOTUSED", 0.0), ("<pad>", 0.0), ("</s>NOTUSED", 0.0), ("<unk>", 0.0), ("<unk>NOTUSED", -100.0)]
    scores += [
        (token, -float(place)) for place, token in enumerate(["<s>", "</s>", "▁", "▁a", "e", "o", "the", "ing"], 1)
    ]
    fast = transformers.CamembertTokenizer(vocab=scores).backend_tokenizer
    assert isinstance(fast, tokenizers.Tokenizer)
    return fast


@pytest.mark.parametrize(
    ("kind", "make", "around"),
    [("camembert", of_pieces, (5, 6)), ("mpnet", of_words, (0, 2)), ("modernbert", of_bytes, (1, 2))],
)
def test_a_tokenizer_of_every_kind_is_read_and_puts_its_own_tokens_around_a_text(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, kind: str, make: Callable[[], Any], around: tuple[int, int]
) -> None:
    folder = make_checkpoint(kind)
    make().save(str(folder / "tokenizer.json"))
    (tmp_path / "served.json").write_text(checkpoint.read(str(folder)).tokenizer)
    served = Tokenizer(tmp_path / "served.json")
    encoding = served.encode("the <s> [CLS] </s>")
    ids = served.ids(encoding, Window(0, len(encoding)))
    assert (ids[0], ids[-1]) == around
    assert not set(ids[1:-1].tolist()) & set(around)  # what a user types is text


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("modernbert", of_bytes),
        pytest.param("camembert", of_pieces, marks=pytest.mark.slow),
        pytest.param("mpnet", of_words, marks=pytest.mark.slow),
        pytest.param("deberta-v1", of_bytes, marks=pytest.mark.slow),
    ],
)
def test_a_checkpoint_with_its_own_kind_of_tokenizer_is_converted_and_verified(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, kind: str, make: Callable[[], Any]
) -> None:
    folder = make_checkpoint(kind)
    make().save(str(folder / "tokenizer.json"))
    order = Order(source=str(folder), out=tmp_path / "out", precision="fp32", max_tokens=64)
    result = convert(order, quiet)
    served = artifact.load(order.out)
    assert result.variants["fp32"].served.max_dp < 1e-4
    assert served.fused is not None
    assert served.manifest.position_limit == checkpoint.read(str(folder)).position_limit
    assert Tokenizer(served.tokenizer).special_tokens == 2
    if LIBRARY.exists():
        assert result.variants["fp32"].fused is not None

"""What a user types is text, with every kind of vocabulary; a tokenizer that fails on some texts is refused by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Fast

from bento.errors import ArtifactError
from bento.settings import ROOT
from bento.text.tokenizer import Tokenizer, TokenizerFault
from bento.types import Window
from tests import fakes

CONTROLS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")


def wordpiece() -> Fast:
    words = (*CONTROLS, "a", "b", "##b", "[", "]", "sep", "cls", "mask", "pad", "un", "##k")
    fast = Fast(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))  # noqa: S106
    fast.normalizer = normalizers.BertNormalizer()
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    fast.add_special_tokens(list(CONTROLS))
    return fast


def byte_level() -> Fast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ("<s>", "<pad>", "</s>", "<unk>", *alphabet, "<mask>")
    fast = Fast(models.BPE({word: i for i, word in enumerate(words)}, [], unk_token="<unk>"))  # noqa: S106
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    fast.decoder = decoders.ByteLevel()
    fast.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    fast.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    return fast


def unigram() -> Fast:
    return fakes.tokenizer()  # its control tokens are pieces of the vocabulary only, none is added


def read(fast: Fast, folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    fast.save(str(path))
    return Tokenizer(path)


@pytest.mark.parametrize("make", [wordpiece, byte_level, unigram])
@pytest.mark.parametrize("typed", [*CONTROLS, "<s>", "</s>", "<pad>", "<unk>", "<mask>"])
@pytest.mark.parametrize("around", ["a {} b", "{}", "a{}b", "  {}  ", "{0}{0}"])
def test_typed_control_tokens_are_text(make: Callable[[], Fast], typed: str, around: str, tmp_path: Path) -> None:
    fast = make()
    controls = {fast.token_to_id(token) for token in (*CONTROLS, "<s>", "</s>", "<pad>", "<mask>")} - {None}
    unknown = {fast.token_to_id("[UNK]"), fast.token_to_id("<unk>")}  # what a vocabulary says of a letter it lacks
    found = set(read(fast, tmp_path).encode(around.format(typed)).ids.tolist())
    assert not found & (controls - unknown)


@pytest.mark.parametrize("make", [wordpiece, byte_level, unigram])
def test_all_other_texts_are_tokenised_as_they_were(make: Callable[[], Fast], tmp_path: Path) -> None:
    fast = make()
    tokenizer = read(fast, tmp_path)
    for text in ("a b ab zz", "the cement's end.", "[sep", "éa 你好 👍", "", " \n "):
        theirs, ours = fast.encode(text, add_special_tokens=False), tokenizer.encode(text)
        assert (ours.ids.tolist(), ours.offsets.tolist()) == (theirs.ids, [list(pair) for pair in theirs.offsets])
    around = fast.encode("a").ids
    whole = tokenizer.encode("a")
    assert tokenizer.ids(whole, Window(0, len(whole))).tolist() == around


def test_an_added_token_of_text_stays_one(tmp_path: Path) -> None:
    fast = fakes.tokenizer()
    fast.add_tokens(["\n", "<url>"])
    fast.add_special_tokens(["\t"])
    tokenizer = read(fast, tmp_path)
    ids = tokenizer.encode("a\nb <url> c\td").ids.tolist()
    assert [fast.token_to_id(token) in ids for token in ("\n", "<url>", "\t")] == [True] * 3


def test_what_is_saved_of_cutting_and_padding_is_ignored(tmp_path: Path) -> None:
    fast = fakes.tokenizer()
    fast.enable_truncation(4)
    fast.enable_padding(length=50)
    assert len(read(fast, tmp_path).encode("a a a a a a")) == 12


def test_a_tokenizer_that_panics_is_refused_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fast = fakes.tokenizer()
    fast.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    fast.add_tokens(["\n"])
    with pytest.raises(ArtifactError, match=r"tokenizer.json: the tokenizers library fails on accents"):
        read(fast, tmp_path)
    assert capfd.readouterr().err == ""


def test_a_panic_names_the_text(tmp_path: Path) -> None:
    tokenizer = read(fakes.tokenizer(), tmp_path)
    panics = fakes.tokenizer()
    panics.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    panics.add_tokens(["\n"])
    tokenizer._tokenizer = panics  # as if no text of the kinds that are tried at load had shown it
    with pytest.raises(TokenizerFault) as fault:
        tokenizer.encode_all(["a", "b", "naïve", "c"])
    assert fault.value.index == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {}}', '{"model": {"vocab": 3}}', "\xff"])
def test_what_is_no_tokenizer_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ArtifactError, match="not a tokenizer"):
        Tokenizer(path)


def test_others_run_while_a_text_is_tokenised() -> None:
    tokenizer = Tokenizer(ROOT / "models" / "wordtell-small" / "tokenizer.json")
    text = "the cat sat on the mat " * 40_000
    started = time.perf_counter()
    turns: list[float] = []
    working = threading.Thread(target=tokenizer.encode, args=(text,))
    working.start()
    while working.is_alive():
        turns.append(time.perf_counter())
        time.sleep(0.001)
    took = time.perf_counter() - started
    # With the interpreter's lock held there would be one turn, before the call.
    assert len([turn for turn in turns if turn - started < 0.8 * took]) > 10


def test_a_regular_expression_does_not_find_a_renamed_token(tmp_path: Path) -> None:
    fast = fakes.tokenizer()
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\[SEP\]"), "isolated"), pre_tokenizers.Metaspace()]
    )
    separator = fast.token_to_id("[SEP]")
    assert separator not in read(fast, tmp_path).encode("a [SEP] b").ids

"""Tokenizers as they are in the wild: those that fail on some texts are refused, and what training left is undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers

from bento import artifact
from bento.checkpoint import reading as checkpoint
from bento.checkpoint import tokenizer as reading
from bento.text import specimens
from bento.text.tokenizer import Tokenizer
from convert import texts
from convert.conversion import convert
from convert.errors import CheckpointError
from convert.order import Order
from tests.convert.conftest import MakeCheckpoint
from tests.convert.test_verify import quiet

TELLING = "Telltale-naïve-word"


def copy(tokenizer: tokenizers.Tokenizer) -> Any:
    return tokenizers.Tokenizer.from_str(tokenizer.to_str())


def panicking(tokenizer: Any) -> Any:
    """As scripts for DeBERTa make it: the library panics on every text that is not ASCII."""
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    tokenizer.add_tokens(["\n"])
    return tokenizer


def mended(tokenizer: Any) -> Any:
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    tokenizer.add_tokens([AddedToken("\n", normalized=False)])
    return tokenizer


def without_unknown(tokenizer: Any) -> Any:
    words = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1}, unk_token="missing"))  # noqa: S106 - a token of text
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return words


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        checkpoint.read(str(folder))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("change", "fault", "remedy"),
    [
        (panicking, r"its tokenizer fails on accents (AddedVocabulary bad split)", '"normalized": false'),
        (without_unknown, "its tokenizer fails on plain text (WordLevel error: ", "give its model an unknown token"),
    ],
)
def test_one_that_fails_is_refused_with_the_kind_of_text_and_the_remedy(
    make_checkpoint: MakeCheckpoint,
    tokenizer: tokenizers.Tokenizer,
    capfd: pytest.CaptureFixture[str],
    change: Callable[[Any], Any],
    fault: str,
    remedy: str,
) -> None:
    folder = make_checkpoint()
    change(copy(tokenizer)).save(str(folder / "tokenizer.json"))
    capfd.readouterr()
    message = refusal(folder)
    assert fault in message
    assert remedy in message
    assert "panicked" not in capfd.readouterr().err  # the trace of a panic may quote the text


def test_the_remedy_helps(make_checkpoint: MakeCheckpoint, tokenizer: tokenizers.Tokenizer) -> None:
    folder = make_checkpoint()
    mended(copy(tokenizer)).save(str(folder / "tokenizer.json"))
    assert checkpoint.read(str(folder)).encode("naïve\nword")


def test_a_text_of_the_users_is_named_by_its_number_and_never_shown(
    make_checkpoint: MakeCheckpoint,
    tokenizer: tokenizers.Tokenizer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = make_checkpoint()
    panicking(copy(tokenizer)).save(str(folder / "tokenizer.json"))
    # As if none of our own texts were of the kind that this tokenizer fails on.
    monkeypatch.setattr(specimens, "SPECIMENS", {"plain text": "the fox"})
    (tmp_path / "texts").write_text(f"plain\n{TELLING}\n")
    order = Order(source=str(folder), out=tmp_path / "out", precision="fp32", verify_texts=tmp_path / "texts")
    capfd.readouterr()
    with pytest.raises(CheckpointError, match=r"fails on text 2 of .*texts \(AddedVocabulary bad split\)") as raised:
        convert(order, quiet)
    shown = f"{raised.value}{capfd.readouterr()}"
    assert TELLING not in shown
    assert "panicked" not in shown
    assert not order.out.exists()


def test_a_panic_while_a_tokenizer_is_loaded_is_a_refusal_too(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Unigram", "vocab": [], "unk_id": 7}}')
    assert "no tokenizer that can be used" in refusal(folder)


def test_an_interruption_is_no_fault_of_the_tokenizer(tokenizer: tokenizers.Tokenizer) -> None:
    def interrupted() -> Any:
        yield "a text"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reading.attempt(tokenizer, interrupted())


def test_truncation_and_padding_of_training_change_nothing(
    make_checkpoint: MakeCheckpoint, tokenizer: tokenizers.Tokenizer, tmp_path: Path
) -> None:
    """Neither the ranking for INT8, nor the calibration, nor the verification, nor what is served."""
    found = []
    for name in ("plain", "cut"):
        folder = make_checkpoint()
        if name == "cut":
            changed = copy(tokenizer)
            changed.enable_truncation(16)
            changed.enable_padding(length=1000)
            changed.save(str(folder / "tokenizer.json"))
        order = Order(source=str(folder), out=tmp_path / name, precision="int8", max_mean_dp=2e-3, max_fp32_share=0.5)
        (int8,) = convert(order, quiet).variants.values()
        assert int8.exact  # so that a ranking took place
        encoded = checkpoint.read(str(folder)).encode(texts.calibration(1)[0])
        served = Tokenizer(artifact.load(order.out).tokenizer).encode(texts.calibration(1)[0])
        assert encoded[1:-1] == served.ids.tolist()
        found.append((encoded, int8.exact, int8.figures.mean_dp, int8.figures.max_dp))
    assert found[0] == found[1]

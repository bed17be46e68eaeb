"""The tokenizer of a checkpoint: tokenizer.json to the letter, and whether it bears texts of all kinds."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from sentencepiece import sentencepiece_model_pb2

from convert import names
from convert.errors import CheckpointError
from convert.files import genuine

# What people send, beside plain English; each is tried alone and among other words.
SPECIMENS = {
    "plain text": "The quick brown fox, 1,250.00 EUR!",
    "accents": "naïve café Zürich",
    "compatibility forms": "\ufb01ne \uff37\uff48\uff4f ½ ㎏ Ⅷ ① ﷺ",
    "combining marks": "e\u0301 a\u0308\u0323 \u0301 o\u0302\u0301\u0335\u0321" + "\u0335" * 40,
    "special cases of capital letters": "İstanbul ß ẞ ǅ ŉ ς Σ",
    "Greek and Cyrillic": "Σίσυφος Ёлка пожалуйста",
    "right-to-left scripts": "שָׁלוֹם مرحبا \u202eabc\u202c \u200f",
    "Chinese, Japanese and Korean": "漢字 かなカナ 한국어 ᄒ\u1161ᆫ 𠮷",
    "scripts of India and Thailand": "नमस्ते தமிழ் สวัสดี",
    "emoji": "😀 👨\u200d👩\u200d👧 🇩🇪 👍🏽 ☺\ufe0f 1\ufe0f\u20e3",
    "mathematical letters": "\U0001d49c\U0001d4d1 \U0001d7d8 \U0001d51e",
    "zero-width characters": "\u200b a\u200bb \u200c\u200d \ufeff \u2060 \u00ad",
    "control characters": "\x01\x02 \x1b[0m \x7f \x80\x9f",
    "NUL": "a\x00b \x00",
    "tabs and line ends": "a\tb\nc\r\nd\n\n\ne\x0bf\x0cg\x1c\x85h\u2028i\u2029",
    "spaces": " a\u00a0b\u2003c\u3000d   e ",
    "nothing but spaces": " \n\u3000",
    "no text": "",
    "private use": "\ue000 \uf8ff \U000f0000",
    "the ends of Unicode's blocks": "\ud7ff\ue000 \ufffd \ufffe\uffff \U00010000 \U0010ffff",
    "a very long word": "antidisestablishment" * 500,
    "a very long word without letters": "é漢😀-" * 500,
    "the names of special tokens": "[CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <pad> <mask>",
}


def read(folder: Path, rows: int) -> str:
    """tokenizer.json to the letter, else what transformers makes of the slow files. `rows`: ids that the model has.

    Raises CheckpointError when there is none, when it has more tokens than rows, and when it fails on a SPECIMEN.
    """
    path = genuine(folder / names.TOKENIZER)
    try:
        with _silent():
            text = path.read_text(encoding="utf-8") if path.is_file() else _from_slow_files(folder).to_str(pretty=True)
            fast = plain(text)
        highest = max(fast.get_vocab(with_added_tokens=True).values())
    except (CheckpointError, *_OURS):
        raise
    except BaseException as error:  # tokenizers raises plain Exception and panics; slow classes lack backend_tokenizer
        fault = f"has no tokenizer that can be used ({first_line(error)})"
        remedy = f"save it with {names.TOKENIZER} (a fast tokenizer's save_pretrained)"
        raise CheckpointError(folder, fault, remedy) from None
    if highest >= rows:
        fault = f"its tokenizer has the id {highest}, its embeddings only {rows} rows"
        raise CheckpointError(folder, fault, "use the tokenizer that it was trained with")
    for kind, specimen in SPECIMENS.items():
        _, failure = attempt(fast, (specimen, f"one {specimen} two", f"\n{specimen}\n"))
        if failure is not None:
            raise failed(folder, kind, failure)
    return text


def plain(text: str) -> tokenizers.Tokenizer:
    """The tokenizer of a tokenizer.json. One saved during training may cut or pad; here it does neither."""
    fast = tokenizers.Tokenizer.from_str(text)
    fast.no_truncation()
    fast.no_padding()
    return fast


def attempt(fast: tokenizers.Tokenizer, texts: Iterable[str]) -> tuple[int, BaseException | None]:
    """The place of the first text that the tokenizer fails on, and how; None when it bears all.

    A panic of its library is a BaseException, and prints a trace that may quote the text: nothing of it is seen.
    """
    place = 0
    try:
        with _silent():
            for place, text in enumerate(texts):  # noqa: B007  # told when the loop is left by an error
                fast.encode(text)
    except _OURS:
        raise
    except BaseException as error:
        return place, error
    return place, None


def failed(folder: Path | str, where: str, error: BaseException) -> CheckpointError:
    """The error for a text that the tokenizer fails on. where: which text, in words; the text itself is not told."""
    fault = f"its tokenizer fails on {where} ({first_line(error)})"
    if isinstance(error, Exception):
        return CheckpointError(folder, fault, "correct tokenizer.json: give its model an unknown token")
    remedy = f'set "normalized": false for every token in added_tokens of {names.TOKENIZER}, or leave those tokens out'
    return CheckpointError(folder, fault, remedy)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its name when it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


# BaseExceptions that end this program, and are no failure of a tokenizer.
_OURS = (KeyboardInterrupt, SystemExit, GeneratorExit)


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing that a library writes to standard error is seen: not by way of Python, which a panic does not take."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # it is closed already
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _from_slow_files(folder: Path) -> tokenizers.Tokenizer:
    there = [name for name in (*names.SLOW_TOKENIZERS, "merges.txt") if genuine(folder / name).is_file()]
    if not set(there) & set(names.SLOW_TOKENIZERS):
        # transformers would make one up, with an empty vocabulary.
        raise FileNotFoundError(f"neither {names.TOKENIZER} nor {', '.join(names.SLOW_TOKENIZERS)} is there")
    slow = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    fast: tokenizers.Tokenizer = slow.backend_tokenizer
    for name in names.SENTENCEPIECE:
        if name in there:
            _restore_normalizer(fast, folder / name)
    return fast


def _restore_normalizer(fast: tokenizers.Tokenizer, path: Path) -> None:
    """Put SentencePiece's character map back: transformers 5 drops it for DeBERTa, and NFKC forms turn to [UNK]."""
    proto: Any = sentencepiece_model_pb2
    characters = proto.ModelProto.FromString(path.read_bytes()).normalizer_spec.precompiled_charsmap
    state = json.loads(fast.to_str())["normalizer"]
    if characters and "Precompiled" not in json.dumps(state):
        rest = [fast.normalizer] if state else []
        fast.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.Precompiled(characters), *rest])

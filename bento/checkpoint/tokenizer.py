"""The tokenizer of a checkpoint: its tokenizer.json, unchanged, tested on texts of many kinds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from sentencepiece import sentencepiece_model_pb2

from bento.checkpoint import names
from bento.checkpoint.errors import CheckpointError
from bento.checkpoint.files import genuine
from bento.text import specimens
from bento.text.tokenizer import NOT_ITS_OWN, silent_stderr


def read(folder: Path, rows: int) -> str:
    """tokenizer.json to the letter, else what transformers makes of the slow files. `rows`: ids that the model has.

    Raises CheckpointError when there is none, when it has more tokens than rows, and when it fails on a specimen.
    """
    path = genuine(folder / names.TOKENIZER)
    try:
        with silent_stderr():
            text = path.read_text(encoding="utf-8") if path.is_file() else _from_slow_files(folder).to_str(pretty=True)
            fast = plain(text)
        highest = max(fast.get_vocab(with_added_tokens=True).values())
    except (CheckpointError, *NOT_ITS_OWN):
        raise
    except BaseException as error:  # tokenizers raises plain Exception and panics; slow classes lack backend_tokenizer
        fault = f"has no tokenizer that can be used ({first_line(error)})"
        remedy = f"save it with {names.TOKENIZER} (a fast tokenizer's save_pretrained)"
        raise CheckpointError(folder, fault, remedy) from None
    if highest >= rows:
        fault = f"its tokenizer has the id {highest}, its embeddings only {rows} rows"
        raise CheckpointError(folder, fault, "use the tokenizer that it was trained with")
    for kind, texts in specimens.forms():
        _, failure = attempt(fast, texts)
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
    """The index of the first text on which the tokenizer fails, and the error; None if it fails on none.

    A panic of its library is a BaseException, and prints a trace that may quote the text: nothing of it is seen.
    """
    place = 0
    try:
        with silent_stderr():
            for place, text in enumerate(texts):  # noqa: B007  # told when the loop is left by an error
                fast.encode(text)
    except NOT_ITS_OWN:
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

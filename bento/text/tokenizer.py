"""The `tokenizers` library behind one small class. What a user types is text, never a control token."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from bento.errors import ArtifactError
from bento.text import specimens
from bento.types import Encoding, IntArray, Window

# One thread a call: the others' cores belong to the lanes. The library reads this at every call.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Vocabulary entries that are control tokens in every family, where the file does not list them as special.
_CONTROL = frozenset(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>", "<pad>", "<unk>", "<mask>"])
# What a space becomes in a vocabulary: SentencePiece's mark, and that of byte-level BPE.
MARKS = ("▁", "Ġ")
# Of errors that every call may raise, those that are no failure of the tokenizer.
NOT_ITS_OWN = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)


class TokenizerFault(Exception):
    """The library fails on one of the texts that it was given. index: which."""

    def __init__(self, index: int) -> None:
        super().__init__(f"the tokenizer fails on text {index}")
        self.index = index


class TooManyTokens(Exception):
    """A text has more tokens than were asked for. index: which. count: how many."""

    def __init__(self, index: int, count: int) -> None:
        super().__init__(f"text {index} has {count} tokens")
        self.index = index
        self.count = count


class Tokenizer:
    """Text -> tokens with character offsets. Safe to call from several threads."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        """Read a tokenizer.json, or its text. Raises ArtifactError if it is not one, or fails on a text of
        `specimens`."""
        try:
            document = json.loads(path.read_text(encoding="utf-8") if text is None else text)
            self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(_plain(document)))
        except Exception as error:  # the library raises plain Exception
            raise ArtifactError(path, f"not a tokenizer ({error})") from None
        # A file saved during training may truncate or pad; here no text is truncated.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        with silent_stderr():
            for kind, texts in specimens.forms():
                try:
                    self.encode_all(texts)
                except TokenizerFault:
                    fault = f"the tokenizers library fails on {kind} with this tokenizer"
                    remedy = "change its normalizer or its added tokens, and convert the checkpoint again"
                    raise ArtifactError(path, fault, remedy) from None
        # What the model expects around a text ([CLS] ... [SEP], <s> ... </s>), seen in an example.
        probe = self._tokenizer.encode("a")
        content = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
        self._prefix = np.array(probe.ids[: content[0]], dtype=np.int64)
        self._suffix = np.array(probe.ids[content[-1] + 1 :], dtype=np.int64)

    @property
    def special_tokens(self) -> int:
        """How many tokens `ids` adds to a window."""
        return len(self._prefix) + len(self._suffix)

    def encode(self, text: str) -> Encoding:
        """All tokens of a text of any length, without special ones. Raises TokenizerFault."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str], most: int | None = None) -> list[Encoding]:
        """`encode` of each, while the interpreter's lock is free for other threads.

        most: tokens of a text. Raises TokenizerFault, and TooManyTokens.
        """
        try:
            # Only the batch call gives up the lock.
            encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        except BaseException as error:
            # A panic of the library is a BaseException of a class that cannot be imported.
            if isinstance(error, NOT_ITS_OWN):
                raise
            if len(texts) == 1:
                raise TokenizerFault(0) from None
            return [self._encode_one_of(texts, index) for index in range(len(texts))]
        for index, one in enumerate(encodings):  # before anything is built for each token
            if most is not None and len(one) > most:
                raise TooManyTokens(index, len(one))
        return [
            Encoding(
                np.array(one.ids, dtype=np.int64),
                np.fromiter(chain.from_iterable(one.offsets), np.int64, 2 * len(one)).reshape(-1, 2),
            )
            for one in encodings
        ]

    def ids(self, encoding: Encoding, window: Window) -> IntArray:
        """One window as the model wants it: [length], special tokens around it."""
        return np.concatenate([self._prefix, encoding.ids[window.start : window.stop], self._suffix])

    def content(self, logits: np.ndarray) -> np.ndarray:
        """The rows of `logits` [length, ...] that belong to the window's own tokens."""
        return logits[len(self._prefix) : len(logits) - len(self._suffix)]

    def marks(self, encoding: Encoding) -> NDArray[np.bool_]:
        """Which tokens are the mark of a space alone, in front of a token that has none. See bento/text/words.py."""
        alone, marked = self._marks
        found: NDArray[np.bool_] = alone[encoding.ids]
        found[:-1] &= ~marked[encoding.ids[1:]]
        return found

    @cached_property
    def _marks(self) -> NDArray[np.bool_]:
        """Of every id [2, ids]: whether its token is a mark alone, and whether it begins with one."""
        vocabulary = self._tokenizer.get_vocab()
        table = np.zeros((2, max(vocabulary.values()) + 1), dtype=np.bool_)
        for token, number in vocabulary.items():
            table[:, number] = token in MARKS, token.startswith(MARKS)
        return table

    def _encode_one_of(self, texts: Sequence[str], index: int) -> Encoding:
        try:
            return self.encode(texts[index])
        except TokenizerFault:
            raise TokenizerFault(index) from None


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json with every control token renamed to something that cannot be typed: it keeps its id, and is
    never found in a text. What a checkpoint added as text ("\\n", say) stays.

    The names are random for each process, because a fixed name could be read here and typed.
    """
    special = {token["content"] for token in document.get("added_tokens") or () if token.get("special")}
    controls = {token for token in special | _CONTROL | set(_around(document.get("post_processor"))) if token.strip()}
    secret = secrets.token_hex(8)
    names = {token: f"\uffff{secret}-{index}\uffff" for index, token in enumerate(sorted(controls))}
    model = dict(document["model"])
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):  # WordPiece, BPE, WordLevel: token -> id
        model["vocab"] = {names.get(token, token): number for token, number in vocabulary.items()}
    else:  # Unigram: [token, score] by id
        model["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
    if isinstance(model.get("unk_token"), str):
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    added = [
        token | ({"content": names[token["content"]], "normalized": False} if token["content"] in names else {})
        for token in document.get("added_tokens") or ()
    ]
    return document | {"model": model, "added_tokens": added}


def _around(processor: dict[str, Any] | None) -> Iterator[str]:
    """The tokens that a post-processor puts around a text, by name."""
    match processor:
        case {"type": "Sequence", "processors": processors}:
            for one in processors:
                yield from _around(one)
        case {"type": "TemplateProcessing", "special_tokens": tokens}:
            yield from tokens
        case {"cls": [first, _], "sep": [second, _]}:  # BertProcessing, RobertaProcessing
            yield from (first, second)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Suppress what a library writes to standard error, because a panic prints a line that may quote the text."""
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

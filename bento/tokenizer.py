"""The `tokenizers` library behind one small class."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from bento.errors import ArtifactError
from bento.types import Encoding, IntArray, Window

# What a space becomes in a vocabulary: SentencePiece's mark, and that of byte-level BPE.
MARKS = ("▁", "Ġ")


class Tokenizer:
    """Text -> tokens with character offsets. Safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        """Read a tokenizer.json. Raises ArtifactError when it is not one."""
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ArtifactError(path, f"not a tokenizer ({error})") from None
        # A file saved during training may cut or pad; here nothing is cut in silence.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # What the model expects around a text ([CLS] ... [SEP], <s> ... </s>), seen in an example.
        probe = self._tokenizer.encode("a")
        content = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
        self._prefix = probe.ids[: content[0]]
        self._suffix = probe.ids[content[-1] + 1 :]

    @property
    def special_tokens(self) -> int:
        """How many tokens `ids` adds to a window."""
        return len(self._prefix) + len(self._suffix)

    def encode(self, text: str) -> Encoding:
        """All tokens of a text of any length, without special ones."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        ids = np.array(encoding.ids, dtype=np.int64)
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        return Encoding(ids, offsets)

    def ids(self, encoding: Encoding, window: Window) -> IntArray:
        """One window as the model wants it: [length], special tokens around it."""
        return np.array([*self._prefix, *encoding.ids[window.start : window.stop], *self._suffix], dtype=np.int64)

    def content(self, logits: np.ndarray) -> np.ndarray:
        """The rows of `logits` [length, ...] that belong to the window's own tokens."""
        return logits[len(self._prefix) : len(logits) - len(self._suffix)]

    def marks(self, encoding: Encoding) -> NDArray[np.bool_]:
        """Which tokens are the mark of a space alone, in front of a token that has none. See bento/words.py."""
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

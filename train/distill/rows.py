"""Texts as rows of a model's tokens, and batches of rows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bento.types import FloatArray
from train.dataset import word_of_token
from train.distill.teacher import Judgement, carry
from train.distill.texts import Piece

PAD_ROWS = 8
"""Rows of like length that are computed together, so that few positions are padding."""


@dataclass(frozen=True)
class Row:
    """ids, owners, labels, odds: [tokens], special tokens included. words: the number of words.

    owners: the word of each token, or -1. labels: 0, 1, or -1 for no label. odds: the teacher's log-odds, or nan.
    """

    ids: NDArray[np.int64]
    owners: NDArray[np.int64]
    labels: NDArray[np.int64]
    odds: FloatArray
    words: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Batch:
    """ids, mask, owners, labels, odds: [rows, tokens], as in Row. mask: 0 for padding. words: [rows]."""

    ids: torch.Tensor
    mask: torch.Tensor
    owners: torch.Tensor
    labels: torch.Tensor
    odds: torch.Tensor
    words: torch.Tensor


def rows(tokenizer: Tokenizer, pieces: Sequence[Piece], judgements: Sequence[Judgement] | None = None) -> list[Row]:
    """The rows of pieces, with the odds of the judgements if they are given."""
    found = []
    for index, (piece, encoded) in enumerate(
        zip(pieces, tokenizer.encode_batch([piece.text for piece in pieces]), strict=True)
    ):
        owners = np.array([-1 if word is None else word for word in word_of_token(piece.text, encoded.offsets)])
        labels = np.full(len(owners), -1)
        if piece.labels is not None:
            labels[owners >= 0] = piece.labels[owners[owners >= 0]]
        odds = np.full(len(owners), np.nan, np.float32)
        if judgements is not None:
            own = np.array(encoded.special_tokens_mask) == 0
            odds[own] = carry(judgements[index], np.array(encoded.offsets, np.int64).reshape(-1, 2)[own])
        count = len(piece.text.split())
        found.append(Row(np.array(encoded.ids, np.int64), owners.astype(np.int64), labels, odds, count))
    return found


def batch(rows: Sequence[Row], padding: int) -> Batch:
    """A batch of rows, padded to the longest."""
    width = max(map(len, rows))

    def padded(values: Sequence[np.ndarray], fill: float) -> torch.Tensor:
        return torch.from_numpy(np.stack([np.pad(one, (0, width - len(one)), constant_values=fill) for one in values]))

    ids = padded([row.ids for row in rows], padding)
    mask = padded([np.ones(len(row), np.int64) for row in rows], 0)
    owners, labels = (padded([getattr(row, name) for row in rows], -1) for name in ("owners", "labels"))
    odds = padded([row.odds for row in rows], float("nan"))
    return Batch(ids, mask, owners, labels, odds, torch.tensor([row.words for row in rows]))


def drawn(count: int, each: int, step: int, seed: int) -> list[int]:
    """The indices of the rows of a step. Each round has every row once, in an order that the seed gives."""
    each = min(each, count)
    turn, place = divmod(step, count // each)
    order = list(range(count))
    random.Random(f"{seed}-{turn}").shuffle(order)
    return order[place * each : (place + 1) * each]


def groups(chosen: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """The chosen rows in groups of similar length."""
    ordered = sorted(chosen, key=lambda index: lengths[index])
    for at in range(0, len(ordered), PAD_ROWS):
        yield ordered[at : at + PAD_ROWS]

"""The student that the options describe. Imports nothing heavy, so that wrong options are refused at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from train.distill.errors import DistillError

LIKE = {"base": (12, 768), "small": (6, 384), "tiny": (4, 192)}
"""Layers and hidden size by name."""


@dataclass(frozen=True)
class Order:
    """source: the checkpoint or pretrained encoder that is trained; None for a model of the teacher's kind.

    layers, hidden: None for the teacher's. prune: keep only the part of the vocabulary that the texts use.
    """

    layers: int | None = None
    hidden: int | None = None
    source: Path | None = None
    prune: bool = False


def ordered(layers: int | None, hidden: int | None, like: str | None, source: Path | None, prune: bool) -> Order:
    """The order of these options. Raises DistillError if they give the shape twice or not at all."""
    told = [like is not None, source is not None, layers is not None or hidden is not None]
    if sum(told) > 1:
        raise DistillError("give one of --like, --student, or --layers and --hidden: each says what the student is")
    if not any(told) and not prune:
        raise DistillError(
            "what is the student to be? Give --layers, --hidden, --like, --student or --prune-vocabulary"
        )
    if like is not None:
        if like not in LIKE:
            raise DistillError(f"--like {like} is no shape; these are: {', '.join(LIKE)}")
        layers, hidden = LIKE[like]
    return Order(layers, hidden, source, prune)

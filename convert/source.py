"""The model that graphs and folders are written from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from convert.nodes import Array


class Weight(Protocol):
    """A tensor of torch, or random numbers that are drawn when they are wanted."""

    def numpy(self) -> Array:
        """As it stands in a checkpoint; of a Linear [out, in]."""
        ...


class Source(Protocol):
    """A checkpoint that was read (bento/checkpoint/reading.py), or random weights (convert/random_weights.py).

    model: has `config`, `classifier` and `state_dict`, as a model of transformers. tokenizer: the text of its
    tokenizer.json. card: the text of its model card, None where there is none.
    """

    @property
    def model(self) -> Any: ...  # noqa: D102

    @property
    def tokenizer(self) -> str: ...  # noqa: D102

    @property
    def card(self) -> str | None: ...  # noqa: D102

    @property
    def architecture(self) -> str:
        """The configuration's `model_type`."""
        ...

    @property
    def origin(self) -> Mapping[str, str]:
        """Where it came from, for the manifest."""
        ...

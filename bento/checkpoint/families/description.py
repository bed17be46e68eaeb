"""What an encoder is made of, in the terms of the two builders (convert/portable.py, convert/fused.py).

Names are those of a checkpoint's weights, without `.weight` and `.bias`. A bias that a checkpoint has not is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Joint:
    """Query, key and value in one matrix [3 * hidden, in].

    by_head: its rows are query, key and value of the first head, of the second, ...; else of all heads the query first.
    biases: of query, key and value, where they are not one bias of that matrix; None for one that there is not.
    """

    name: str
    by_head: bool = False
    biases: tuple[str | None, str | None, str | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer.

    projections: query, key, value. mix: what joins the heads. up, down: the feed-forward part.
    mix_norm, down_norm: the norms behind both sums with the residual.
    position_key, position_query: project the relative embeddings, for DeBERTa's c2p and p2c terms.
    window: a token attends to those that are at most so many away; 0: to all. rotary_base: 0: no rotation.
    """

    projections: tuple[str, str, str] | Joint
    mix: str
    mix_norm: str
    up: str
    down: str
    down_norm: str
    position_key: str | None = None
    position_query: str | None = None
    window: int = 0
    rotary_base: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """What becomes of a token before the first layer.

    first_position: the row of `positions` that the first token takes; RoBERTa's count begins after the padding id.
    types: all tokens are of type 0. widen: from the embeddings' width to the layers', before the norm or after it.
    """

    words: str
    norm: str
    positions: str | None = None
    first_position: int = 0
    types: str | None = None
    widen: str | None = None
    widen_after_norm: bool = False


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """DeBERTa-v2's n-gram layer over the embeddings, added to the first layer's output."""

    name: str
    norm: str
    kernel: int
    groups: int
    activation: str


@dataclass(frozen=True, kw_only=True)
class Head:
    """A layer between the encoder and the classifier: product, activation, norm."""

    dense: str
    norm: str
    activation: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """An encoder.

    scale: of every score; 1 / sqrt(head_size) where the position terms are none. activation: as names.ACTIVATIONS says.
    gated: `up` has two halves, activation(first) * second goes into `down`.
    pre_norm: residuals are the sums, not their norms; `mix_norm` and `down_norm` are the norms of what follows.
    buckets: int32 [2 * reach + 1], of each distance -reach ... reach (query minus key) its row in `relative` or `bias`.
    relative: DeBERTa's embeddings of distances; relative_norm: the norm of them. bias: [rows, heads], added to scores.
    """

    embeddings: Embeddings
    layers: tuple[Layer, ...]
    heads: int
    head_size: int
    scale: float
    activation: str
    epsilon: float
    gated: bool = False
    pre_norm: bool = False
    buckets: Array | None = None
    relative: str | None = None
    relative_norm: str | None = None
    bias: str | None = None
    convolution: Convolution | None = None
    head: Head | None = None

    @property
    def reach(self) -> int:
        """The longest distance that has a bucket of its own side; all beyond are in the same."""
        return 0 if self.buckets is None else len(self.buckets) // 2


@dataclass(frozen=True)
class Family:
    """What is known of a family. describe: its encoder, of a configuration of transformers.

    refused: of a config.json, the settings that change what is computed and that are not computed here.
    activations: the settings that name one. positions: settings of positions that only this family has.
    """

    describe: Callable[[Any], Description]
    refused: Callable[[Mapping[str, Any]], dict[str, Any]] = field(default=lambda _config: {})
    activations: tuple[str, ...] = ("hidden_act",)
    positions: frozenset[str] = frozenset()


def plain_scale(config: Any) -> float:
    """1 / sqrt(head size)."""
    return float((config.hidden_size // config.num_attention_heads) ** -0.5)

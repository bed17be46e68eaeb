"""Models of published encoders' dimensions with random weights, to measure with: no checkpoint, no torch.

    python -m convert.random_weights deberta-v3-large FOLDER TOKENIZER

writes the model folder that a conversion to INT8 of such a checkpoint would write. Its scores mean nothing. What it
costs is what a trained one costs, since no operator looks at the values; but for DeBERTa's distances, which have a
bucket each, as many as there are logarithmic ones, because only transformers computes those.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bento import artifact
from bento.checkpoint import families
from bento.checkpoint.families.description import Description, Joint
from convert import export, folder, quantize
from convert.dimensions import PUBLISHED, Dimensions
from convert.nodes import Array
from convert.source import Source

# Of transformers' initialisation.
_DEVIATION = 0.02
# What `describe` reads of a configuration, and transformers' classes have as their defaults.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "deberta-v2": {"hidden_act": "gelu", "layer_norm_eps": 1e-7, "position_buckets": -1, "max_relative_positions": 256},
    "bert": {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0},
    "distilbert": {"activation": "gelu"},
    "roberta": {"hidden_act": "gelu"},
    "xlm-roberta": {"hidden_act": "gelu"},
    "modernbert": {"hidden_activation": "gelu", "norm_eps": 1e-5, "classifier_activation": "gelu"},
}


@dataclass(frozen=True)
class Drawn:
    """Numbers of a normal distribution, the same ones each time for a name; drawn when they are wanted, and not kept:
    a large encoder's would be 1.7 GB. mean: 1 for the gain of a norm."""

    name: str
    shape: tuple[int, ...]
    mean: float = 0.0

    def detach(self) -> Drawn:
        """As of a tensor."""
        return self

    def numpy(self) -> Array:
        """[*shape], FP32"""
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        numbers: Array = random.standard_normal(self.shape, np.float32)
        numbers *= _DEVIATION
        numbers += self.mean
        return numbers


@dataclass(frozen=True)
class RandomModel:
    """The part of a model that the graphs' writers use."""

    config: Any
    weights: Mapping[str, Drawn]
    classifier: object = field(default_factory=object)

    def state_dict(self) -> Mapping[str, Drawn]:
        """As of a module of torch."""
        return self.weights


@dataclass(frozen=True)
class RandomCheckpoint:
    """A Source without a checkpoint."""

    name: str
    model: RandomModel
    tokenizer: str
    card: str | None = None

    @property
    def architecture(self) -> str:
        """See Source."""
        return str(self.model.config.model_type)

    @property
    def origin(self) -> Mapping[str, str]:
        """See Source."""
        return {"checkpoint": f"random weights at the dimensions of {self.name}"}


def model(size: Dimensions) -> RandomModel:
    """Two labels; the weights that a checkpoint of these dimensions has."""
    config = SimpleNamespace(**{**size.config(), **_DEFAULTS[size.architecture]}, num_labels=2)
    if size.architecture == "modernbert":
        every, bases = config.global_attn_every_n_layers, {"full_attention": 160_000.0, "sliding_attention": 10_000.0}
        kinds = tuple(bases)
        config.layer_types = [kinds[bool(number % every)] for number in range(size.layers)]
        config.rope_parameters = {kind: {"rope_theta": base} for kind, base in bases.items()}
    its = families.describe(config)
    return RandomModel(config, {one.name: one for one in _weights(size, its, config)})


def _weights(size: Dimensions, its: Description, config: Any) -> Iterator[Drawn]:
    """Every weight, by the names that its family gives them."""
    hidden, inner = size.hidden, size.inner * (2 if its.gated else 1)
    plain = size.architecture == "modernbert"  # no biases but the classifier's

    def linear(name: str, into: int, out: int, biased: bool = not plain) -> Iterator[Drawn]:
        yield Drawn(f"{name}.weight", (out, into))
        if biased:
            yield Drawn(f"{name}.bias", (out,))

    def norm(name: str) -> Iterator[Drawn]:
        yield Drawn(f"{name}.weight", (hidden,), 1.0)
        if not plain:
            yield Drawn(f"{name}.bias", (hidden,))

    tables = {its.embeddings.words: size.vocabulary, its.embeddings.types: getattr(config, "type_vocab_size", 2)}
    tables |= {its.embeddings.positions: config.max_position_embeddings}
    tables |= {its.relative: None if its.buckets is None else int(its.buckets.max()) + 1}
    for table, rows in tables.items():
        if table and rows:
            yield Drawn(f"{table}.weight", (rows, hidden))
    for name in filter(None, (its.embeddings.norm, its.relative_norm)):
        yield from norm(name)
    for layer in its.layers:
        if isinstance(layer.projections, Joint):
            yield from linear(layer.projections.name, hidden, 3 * hidden)
        else:
            for name in layer.projections:
                yield from linear(name, hidden, hidden)
        yield from linear(layer.mix, hidden, hidden)
        yield from linear(layer.up, hidden, inner)
        yield from linear(layer.down, size.inner, hidden)
        yield from norm(layer.mix_norm)
        yield from norm(layer.down_norm)
    if its.head:
        yield from linear(its.head.dense, hidden, hidden)
        yield from norm(its.head.norm)
    yield from linear("classifier", hidden, config.num_labels, biased=True)


def write(name: str, out: Path, tokenizer: Path) -> None:
    """Fill a new folder at `out`. name: of convert.dimensions.PUBLISHED. tokenizer: a tokenizer.json."""
    size = PUBLISHED[name]
    made = RandomCheckpoint(name, model(size), tokenizer.read_text(encoding="utf-8"))
    fill(out, made, f"random-{name}", tuple(size.config()["id2label"].values()), 512)


def fill(out: Path, source: Source, name: str, labels: tuple[str, ...], max_tokens: int) -> None:
    """Write a new folder at `out`, all of it in INT8: random weights have nothing to verify."""
    graph, fused = export.export(source, "int8"), export.fused(source, "int8")
    quantize.quantize(graph)
    draft = artifact.Manifest(
        name=name,
        architecture=source.architecture,
        precision="int8",
        labels=labels,
        positive_label=labels[-1],
        max_tokens=max_tokens,
        files={},
    )
    out.mkdir(parents=True)
    folder.write(out, {artifact.MODEL: graph} | ({artifact.FUSED: fused} if fused else {}), source, draft)


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

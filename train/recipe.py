"""The hyperparameters of a training run."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Sizes of the model, and for each stage its steps, rows per step and highest learning rate.

    A stage is checked and saved every `check_every` steps; labelling stops early after `patience` checks without gain.
    """

    seed: int = 7
    vocabulary: int = 8000
    hidden: int = 192
    layers: int = 5
    heads: int = 3
    inner: int = 640
    block: int = 128
    pretrain_steps: int = 2500
    pretrain_rows: int = 32
    pretrain_rate: float = 1e-3
    label_steps: int = 700
    label_rows: int = 20
    label_rate: float = 4e-4
    check_every: int = 100
    patience: int = 5
    validation_examples: int = 160

    @property
    def pretraining(self) -> dict[str, Any]:
        """The fields that pretraining depends on: all but those of labelling."""
        later = ("label_", "patience", "validation_")
        return {name: value for name, value in asdict(self).items() if not name.startswith(later)}

"""Settings of a checkpoint that decide what its numbers mean: unsupported ones raise CheckpointError; the activation of
its logits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bento.artifact import Activation
from bento.checkpoint import names
from bento.checkpoint.errors import CheckpointError
from bento.checkpoint.families import FAMILIES
from bento.checkpoint.families.description import Family
from bento.checkpoint.names import ACTIVATIONS, Positions

_TRAINED = "fine-tune a model without it, or serve this one with the software that trained it"


def check(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse settings that change what is computed and are not computed here. Raises CheckpointError, naming them."""
    family = FAMILIES[config["model_type"]]
    activations = {name: config.get(name) for name in family.activations}
    refused = family.refused(config)
    _refuse(folder, "its attention is of a scheme that is not computed here", _foreign(config, family) | refused)
    unknown = {name: value for name, value in activations.items() if value is not None and value not in ACTIVATIONS}
    _refuse(folder, "its activation is not computed here", unknown, f"these are: {', '.join(ACTIVATIONS)}")


def activation(folder: Path, config: Mapping[str, Any], labels: int) -> Activation:
    """What makes probabilities of the logits. Raises CheckpointError when they are none."""
    problem = config.get("problem_type")
    if problem == "multi_label_classification" or (labels == 1 and problem in names.ONE_LABEL):
        return "sigmoid"
    if problem in names.ONE_LABEL:
        return "softmax"
    fault = f"its problem_type is {problem!r}, so its outputs are no probabilities of labels"
    raise CheckpointError(folder, fault, f"give a classifier, or correct problem_type in {names.CONFIG}")


def _foreign(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Schemes of positions that transformers silently ignores."""
    found = {Positions.scheme: config[Positions.scheme]} if config.get(Positions.scheme) not in Positions.plain else {}
    return found | {
        name: value
        for name, value in config.items()
        if value and Positions.foreign & set(name.split("_")) and name not in family.positions
    }


def _refuse(folder: Path, fault: str, found: Mapping[str, Any], remedy: str = _TRAINED) -> None:
    if found:
        settings = ", ".join(f"{name}: {value}" for name, value in found.items())
        raise CheckpointError(folder, f"{fault} ({settings})", remedy)

"""Settings of a checkpoint that decide what its numbers mean: positions, and what makes probabilities of logits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bento.artifact import Activation
from convert import names
from convert.errors import CheckpointError
from convert.names import Positions

_TRAINED = "fine-tune a model without it, or serve this one with the software that trained it"


def check_positions(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a scheme of positions that transformers drops without a word. Raises CheckpointError, naming it."""
    found = {Positions.scheme: config[Positions.scheme]} if _is_other(config) else {}
    found |= {name: value for name, value in config.items() if value and Positions.foreign & set(name.split("_"))}
    if config.get("model_type") == "deberta-v2":
        found |= _of_deberta(config)
    if found:
        settings = ", ".join(f"{name}: {value}" for name, value in found.items())
        raise CheckpointError(folder, f"its positions are of a scheme that is not computed here ({settings})", _TRAINED)


def activation(folder: Path, config: Mapping[str, Any], labels: int) -> Activation:
    """What makes probabilities of the logits. Raises CheckpointError when they are none."""
    problem = config.get("problem_type")
    if problem == "multi_label_classification" or (labels == 1 and problem in names.ONE_LABEL):
        return "sigmoid"
    if problem in names.ONE_LABEL:
        return "softmax"
    fault = f"its problem_type is {problem!r}, so its outputs are no probabilities of labels"
    raise CheckpointError(folder, fault, f"give a classifier, or correct problem_type in {names.CONFIG}")


def _is_other(config: Mapping[str, Any]) -> bool:
    return config.get(Positions.scheme) not in Positions.plain


def _of_deberta(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the original DeBERTa that its second version in transformers does not know."""
    terms, norms = (_parts(config.get(name)) for name in ("pos_att_type", "norm_rel_ebd"))
    found = {name: config[name] for name in Positions.unknown_to_deberta if config.get(name)}
    if terms - Positions.terms:
        found["pos_att_type"] = config["pos_att_type"]
    if norms - Positions.norms:
        found["norm_rel_ebd"] = config["norm_rel_ebd"]
    return found


def _parts(value: Any) -> set[str]:
    """Of a setting like "p2c|c2p", or a list."""
    parts = value.split("|") if isinstance(value, str) else value or ()
    return {str(part).strip().lower() for part in parts} - {""}

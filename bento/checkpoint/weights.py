"""The weights of a checkpoint: their names without wrappers, and how they fit the model that they are loaded into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from bento.checkpoint import files, heads, names
from bento.checkpoint.errors import CheckpointError
from bento.checkpoint.names import unwrapped

_SAVE = "save it again with save_pretrained"


@dataclass(frozen=True)
class Found:
    """The files of weights. names: of the weights in them, without wrappers -> as the file has them."""

    paths: tuple[Path, ...]
    names: Mapping[str, str]

    def renamed(self) -> dict[str, torch.Tensor] | None:
        """All weights under their names without wrappers; None where there are no wrappers."""
        if all(name == given for name, given in self.names.items()):
            return None
        return dict(self.read(self.names))

    def read(self, wanted: Iterable[str]) -> Mapping[str, torch.Tensor]:
        """Some weights, by their names without wrappers."""
        given = {self.names[name]: name for name in wanted}
        found: dict[str, torch.Tensor] = {}
        for path in self.paths:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    found |= {given[name]: file.get_tensor(name) for name in file.keys() if name in given}  # noqa: SIM118  # no mapping
            else:
                found |= {given[name]: value for name, value in _unpickled(path).items() if name in given}
        return found


@dataclass(frozen=True)
class Fit:
    """How weights fit a model. missing: names of the model's that are not there. spare: those it has no place for.

    misshapen: those of another shape -> (theirs, the model's).
    """

    missing: frozenset[str]
    spare: frozenset[str]
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @classmethod
    def of(cls, loading: Mapping[str, Any], given: Collection[str]) -> Fit:
        """Of what transformers says. given: all names, because it leaves out some spare ones without a word."""
        hidden = {name for name in given if "position_embeddings" in name and not name.endswith(names.POSITION_WEIGHTS)}
        return cls(
            missing=frozenset(loading["missing_keys"]),
            spare=frozenset({*loading["unexpected_keys"], *hidden}),
            misshapen={name: (tuple(theirs), tuple(ours)) for name, theirs, ours in loading["mismatched_keys"]},
        )

    def without(self, known: Collection[str]) -> Fit:
        """The same but for weights that come from elsewhere, or go there."""
        misshapen = {name: shapes for name, shapes in self.misshapen.items() if name not in known}
        return Fit(self.missing - set(known), self.spare - set(known), misshapen)

    def check(self, folder: Path, class_name: str) -> None:
        """Raises CheckpointError for what is missing or misshapen: transformers would fill it with random numbers."""
        if self.missing:
            fault = f"lacks the weights {heads.listed(self.missing)}"
            left = [name for name in self.spare if not names.HARMLESS.fullmatch(name)]
            if left:
                fault += f", and has {heads.listed(left)}, which a {class_name} has not"
            remedy = f"give a fine-tuned {class_name}"
            if left and self.missing == set(names.ONE_LAYER):
                remedy += ", or rename the weights of its head, if that is one linear layer, to those that it lacks"
            raise CheckpointError(folder, fault, remedy)
        for name, (theirs, ours) in self.misshapen.items():
            raise heads.misshapen(folder, name, theirs, ours)


def find(folder: Path) -> Found:
    """What a folder has. Raises CheckpointError when it is no whole set of weights, naming the cause."""
    paths = files.weights(folder)
    given = [name for path in paths for name in _names(path)]
    if twice := sorted(name for name, count in Counter(map(unwrapped, given)).items() if count > 1):
        pair = ", ".join(name for name in given if unwrapped(name) == twice[0])
        fault = f"holds the weight {twice[0]} more than once ({pair})"
        raise CheckpointError(folder, fault, f"{_SAVE}, one model alone")
    return Found(tuple(paths), {unwrapped(name): name for name in given})


def _names(path: Path) -> list[str]:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return list(file.keys())
        found = _unpickled(path)
    except Exception as error:  # SafetensorError, UnpicklingError, RuntimeError, EOFError ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(path, f"its weights cannot be loaded ({reason})", _SAVE) from None
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        inside = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        fault = f"holds a training checkpoint ({inside[:100]}), not the weights themselves"
        raise CheckpointError(path, fault, "load its state dict into the model that was trained, then save_pretrained")
    return list(found)


def _unpickled(path: Path) -> Any:
    """Plain weights only. Mapped into memory where the file allows, so that names alone cost nothing."""
    with path.open("rb") as file:
        mapped = file.read(2) == b"PK"
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)

"""The values that modules pass to each other."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

# Our own field manager: it owns a number of replicas, or an annotation, while Helm's manifests change.
MANAGER = "wordtell-deploy"
# Helm's: its library takes the name of the process, which is `helm` (see engine.be_helm) unless a test runs us.
HELM = Path(sys.orig_argv[0]).name
# A Kubernetes object as JSON has it.
Object = dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """Which object: what a path of the API names. `namespace` is empty for cluster-scoped kinds.

    Versions are not compared: v1beta1 and v1 of a group are two views of one object.
    """

    api_version: str = field(compare=False)
    kind: str
    namespace: str
    name: str
    group: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", group(self.api_version))

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def group(api_version: str) -> str:
    """The API group of a group and version; empty for the core group."""
    return api_version.rpartition("/")[0]


@dataclass(frozen=True)
class Release:
    """One deployment of the chart: what `--name` and `--namespace` say."""

    name: str
    namespace: str


@dataclass(frozen=True)
class Finding:
    """What one check of the preflight found. `remedy` is empty for a pass."""

    status: Literal["pass", "warn", "fail"]
    check: str
    message: str
    remedy: str = ""

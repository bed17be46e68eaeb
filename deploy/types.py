"""The values that modules pass to each other."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

# Our own field manager: it owns a number of replicas, or an annotation, while Helm's manifests change.
MANAGER = "wordtell-deploy"
# Helm's: its library takes the name of the process, which is `helm` (see engine.be_helm) unless a test runs us.
HELM = Path(sys.orig_argv[0]).name
# A Kubernetes object as JSON has it.
Object = dict[str, Any]
Level = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, order=True)
class Reference:
    """Which object: what a path of the API names. `namespace` is empty for cluster-scoped kinds."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The object whatever the version: v1beta1 and v1 of a group are two views of one object."""
        return self.group, self.kind, self.namespace, self.name

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Release:
    """One deployment of the chart: what `--name` and `--namespace` say."""

    name: str
    namespace: str


@dataclass(frozen=True)
class Finding:
    """What one check of the preflight found. `remedy` is empty for a pass."""

    status: Level
    check: str
    message: str
    remedy: str = ""

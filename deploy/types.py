"""The values that pass between the rooms, and what they ask of a cluster."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

MANAGER = "wordtell-deploy"
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


class Cluster(Protocol):
    """A cluster as the deployer uses it. Every method raises a `deploy.errors.ClusterError`."""

    @property
    def address(self) -> str:
        """The API server's URL."""
        ...

    @property
    def namespace(self) -> str:
        """The kubeconfig context's namespace."""
        ...

    def version(self) -> str:
        """The server's version, such as `v1.32.4`."""
        ...

    def versions(self, group: str) -> list[str]:
        """The versions of an API group that are served, the preferred one first; empty if the group is unknown."""
        ...

    def kinds(self, api_version: str) -> dict[str, str]:
        """What is served under a group and version: kind -> the resource's (plural) name in paths and roles."""
        ...

    def get(self, reference: Reference) -> Object | None:
        """The object, or None if it is not there."""
        ...

    def find(self, api_version: str, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """All objects of a kind, in one namespace or in all, whose labels match."""
        ...

    def apply(self, manifest: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        """Server-side apply under the field manager `wordtell-deploy`; the object as it is now."""
        ...

    def create(self, manifest: Object) -> Object:
        """POST: for reviews, which are questions and not objects."""
        ...

    def delete(self, reference: Reference, *, dry_run: bool = False) -> bool:
        """Begin to delete; False if it was not there."""
        ...

    def watch(self, api_version: str, kind: str, namespace: str, selector: str) -> Iterator[list[Object]]:
        """All matching objects, again after each change and at least every few seconds; never ends by itself."""
        ...

    def log(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """The last lines of a container's log; empty if there is none."""
        ...

    def forward(self, namespace: str, pod: str, port: int) -> socket.socket:
        """A socket to a pod's port, through the API server."""
        ...

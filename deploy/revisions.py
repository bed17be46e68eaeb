"""What was applied, when: a Secret for each revision, with the objects inside.

A Secret and not a ConfigMap, because rendered objects may hold Secrets. The Deployment's own history knows only pods;
this brings back ConfigMaps too, works for an InferenceService, and is the inventory that `delete` and pruning go by.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from deploy import manifests
from deploy.errors import NoRevision
from deploy.types import MANAGER, Cluster, Object, Reference, Release

KEPT = 10
State = Literal["applying", "deployed", "failed"]
_TYPE = "wordtell.dev/revision"
_NUMBER = "wordtell.dev/revision"
_STATE = "wordtell.dev/state"


@dataclass(frozen=True)
class Revision:
    """One apply. `note` says how it came about; `when` is RFC 3339."""

    number: int
    state: State
    when: str
    note: str
    objects: tuple[Object, ...]

    @property
    def references(self) -> list[Reference]:
        """What it holds, in the order of applying."""
        return [manifests.reference(item) for item in self.objects]


def secret(release: Release, revision: Revision) -> Object:
    """A revision as the Secret that keeps it.                                                              (pure)"""
    packed = gzip.compress(json.dumps(revision.objects, sort_keys=True).encode(), mtime=0)
    body = {"when": revision.when, "note": revision.note}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"{release.name}.deploy.v{revision.number}",
            "namespace": release.namespace,
            "labels": {
                manifests.INSTANCE: release.name,
                manifests.MANAGED_BY: MANAGER,
                _NUMBER: str(revision.number),
                _STATE: revision.state,
            },
        },
        "type": _TYPE,
        "data": {
            "objects": base64.b64encode(packed).decode(),
            "about": base64.b64encode(json.dumps(body).encode()).decode(),
        },
    }


def read(kept: Object) -> Revision:
    """The revision in a Secret.                                                                            (pure)"""
    labels, data = kept["metadata"]["labels"], kept["data"]
    about = json.loads(base64.b64decode(data["about"]))
    objects = json.loads(gzip.decompress(base64.b64decode(data["objects"])))
    return Revision(int(labels[_NUMBER]), labels[_STATE], about["when"], about["note"], tuple(objects))


def history(cluster: Cluster, release: Release) -> list[Revision]:
    """All revisions that are kept, the oldest first."""
    selector = f"{manifests.INSTANCE}={release.name},{manifests.MANAGED_BY}={MANAGER},{_NUMBER}"
    found = [read(item) for item in cluster.find("v1", "Secret", release.namespace, selector)]
    return sorted(found, key=lambda revision: revision.number)


def begin(cluster: Cluster, release: Release, objects: Sequence[Object], when: str, note: str) -> Revision:
    """Record what is about to be applied, so that a half-done apply can be found, rolled back and deleted."""
    past = history(cluster, release)
    number = past[-1].number + 1 if past else 1
    revision = Revision(number, "applying", when, note, tuple(objects))
    cluster.apply(secret(release, revision))
    return revision


def end(cluster: Cluster, release: Release, revision: Revision, state: State) -> None:
    """Record how it went, and forget the oldest; the last one that was deployed is always kept."""
    cluster.apply(secret(release, replace(revision, state=state)))
    past = history(cluster, release)
    good = [old.number for old in past if old.state == "deployed"]
    for old in past[:-KEPT]:
        if old.number != max(good, default=0):
            forget(cluster, release, old)


def forget(cluster: Cluster, release: Release, revision: Revision) -> None:
    """Delete the record, not the objects."""
    cluster.delete(manifests.reference(secret(release, revision)))


def choose(past: Sequence[Revision], release: Release, number: int | None) -> Revision:
    """The revision to go back to: `number`, or the last deployed before the newest.                        (pure)"""
    if not past:
        raise NoRevision(release)
    earlier = [revision for revision in past[:-1] if revision.state == "deployed"]
    wanted = [revision for revision in past if revision.number == number] if number else earlier[-1:]
    if not wanted:
        raise NoRevision(release, number, [revision.number for revision in past])
    return wanted[0]


def inventory(past: Sequence[Revision]) -> list[Reference]:
    """Every object of every revision, once, the newest revision's version of it, in the order of applying.  (pure)"""
    newest = {manifests.reference(item).key: item for revision in past for item in revision.objects}
    return [manifests.reference(item) for item in manifests.ordered(newest.values())]

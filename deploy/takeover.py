"""Turns a release of the deployer before Helm into a Helm release, once, without restarting pods.

Its objects get Helm's labels, and Helm becomes their field manager; then a chart with just these objects is installed
as revision 1. What follows is an ordinary upgrade, which can be rolled back to it.
"""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deploy import manifests
from deploy.engine import Engine
from deploy.types import HELM, MANAGER, Object, Release

if TYPE_CHECKING:
    from deploy.cluster import Cluster

_NUMBER, _STATE = "wordtell.dev/revision", "wordtell.dev/state"


def records(cluster: Cluster, release: Release) -> list[Object]:
    """The Secrets in which the old deployer kept its revisions, the last good one at the end."""
    selector = f"{manifests.INSTANCE}={release.name},{manifests.MANAGED_BY}={MANAGER},{_NUMBER}"
    found = cluster.find("v1", "Secret", release.namespace, selector)
    labels = [item["metadata"]["labels"] for item in found]
    order = sorted(range(len(found)), key=lambda at: (labels[at][_STATE] == "deployed", int(labels[at][_NUMBER])))
    return [found[at] for at in order]


def take_over(cluster: Cluster, engine: Engine, kept: list[Object]) -> int:
    """Make a Helm release of what the old deployer applied last; how many objects it has."""
    release = engine.release
    applied: list[Object] = json.loads(gzip.decompress(base64.b64decode(kept[-1]["data"]["objects"])))
    there = []
    for item in applied:
        live = cluster.get(manifests.reference(item))
        if live is None or live["metadata"].get("deletionTimestamp"):
            continue
        marked = manifests.owned({"metadata": {}}, release)["metadata"]
        marked |= {"managedFields": manifests.disown(live, {MANAGER, HELM})}
        marked |= {"resourceVersion": live["metadata"]["resourceVersion"]}  # changes made in between are not lost
        cluster.patch(manifests.reference(item), {"metadata": marked}, MANAGER)
        there.append(manifests.owned(item, release))
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / "taken-over"
        (chart / "templates").mkdir(parents=True)
        about = {"apiVersion": "v2", "name": "taken-over", "version": "0.0.0"}
        (chart / "Chart.yaml").write_text(json.dumps(about), encoding="utf-8")
        (chart / "objects.yaml").write_text(manifests.dump(there), encoding="utf-8")
        (chart / "templates" / "all.yaml").write_text('{{ .Files.Get "objects.yaml" }}', encoding="utf-8")
        engine.deploy(chart, {}, first=True, label="ready", note=f"taken over from {MANAGER}")
    for item in kept:
        cluster.delete(manifests.reference(item))
    return len(there)

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
from deploy.types import HELM, MANAGER, Object

if TYPE_CHECKING:
    from deploy.cluster import Cluster

_NUMBER, _STATE = "wordtell.dev/revision", "wordtell.dev/state"


def take_over(cluster: Cluster, engine: Engine) -> None:
    """Make a Helm release of what the old deployer applied last, if it left a record and Helm has no good one."""
    release, past = engine.release, engine.history()
    selector = f"{manifests.INSTANCE}={release.name},{manifests.MANAGED_BY}={MANAGER},{_NUMBER}"
    records = cluster.find("v1", "Secret", release.namespace, selector)
    if not records or any(revision.good for revision in past):
        return
    for revision in past:  # of an interrupted take-over: Helm's record, not the objects
        cluster.delete(engine.record(revision.number))
    good = [record for record in records if record["metadata"]["labels"][_STATE] == "deployed"]
    last = max(good or records, key=lambda record: int(record["metadata"]["labels"][_NUMBER]))
    there = []
    for item in json.loads(gzip.decompress(base64.b64decode(last["data"]["objects"]))):
        one = manifests.reference(item)
        live = cluster.get(one)
        if live is None or live["metadata"].get("deletionTimestamp"):
            continue
        marked = manifests.owned({"metadata": {}}, release)["metadata"]
        marked |= {"managedFields": given_to_helm(live["metadata"].get("managedFields") or [])}
        marked |= {"resourceVersion": live["metadata"]["resourceVersion"]}  # changes made in between are not lost
        cluster.patch(one, {"metadata": marked}, MANAGER)
        there.append(manifests.owned(item, release))
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / "taken-over"
        (chart / "templates").mkdir(parents=True)
        about = {"apiVersion": "v2", "name": "taken-over", "version": "0.0.0"}
        (chart / "Chart.yaml").write_text(json.dumps(about), encoding="utf-8")
        (chart / "objects.yaml").write_text(manifests.dump(there), encoding="utf-8")
        (chart / "templates" / "all.yaml").write_text('{{ .Files.Get "objects.yaml" }}', encoding="utf-8")
        engine.deploy(chart, {}, first=True, label="ready", note=f"taken over from {MANAGER}")
    for record in records:
        cluster.delete(manifests.reference(record))
    print(f"taken over from the deployer before Helm: {len(there)} objects")


def given_to_helm(entries: list[Object]) -> list[Object]:
    """`managedFields` in which what the old deployer and Helm own is Helm's, in one entry."""
    found: list[Object] = []
    merged: Object = {}
    for entry in entries:
        if entry["manager"] not in {MANAGER, HELM} or entry.get("subresource"):
            found.append(entry)
        elif merged:
            _unite(merged["fieldsV1"], entry["fieldsV1"])
        else:
            merged = {**entry, "manager": HELM, "operation": "Apply"}
            found.append(merged)
    return found


def _unite(into: Object, other: Object) -> None:
    for key, value in other.items():
        _unite(into.setdefault(key, {}), value)

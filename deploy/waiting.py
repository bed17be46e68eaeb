"""Observes the workloads of a release until all are done, one has failed, or the time is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deploy import manifests, rollout
from deploy.errors import ClusterError, Forbidden, ReleaseFailed
from deploy.rollout import Observed, Verdict
from deploy.types import Object, Reference

if TYPE_CHECKING:
    from deploy.cluster import Cluster

# What becomes ready after it was applied.
WORKLOADS = ("Deployment", "InferenceService")
# KServe puts the InferenceService's name here on each of its Deployments and pods.
_KSERVE = "serving.kserve.io/inferenceservice"
# Seconds between two looks, and how many KServe gets to notice a change that alters nothing we can see.
POLL_S, _SETTLES = 1.0, 20
Before = Mapping[Reference, Object | None]


def observe(
    cluster: Cluster, one: Reference, objects: Sequence[Object], before: Object | None = None
) -> Observed | None:
    """The workload with its ReplicaSets, pods and their events; None if it is not there."""
    workload = cluster.get(one)
    if workload is None:
        return None
    kinds = [("apps/v1", "ReplicaSet"), ("v1", "Pod")]
    if one.kind == "InferenceService":
        selector = f"{_KSERVE}={one.name}"
        kinds.append(("apps/v1", "Deployment"))
    else:
        selector = ",".join(f"{key}={value}" for key, value in workload["spec"]["selector"]["matchLabels"].items())
    sets, pods, *rest = cluster.each(lambda kind: cluster.find(*kind, one.namespace, selector), kinds)
    made = rest[0] if rest else [workload]
    newest = max(made, key=lambda item: str(item["metadata"].get("creationTimestamp")), default=None)
    events: list[Object] = []
    if any((pod.get("status") or {}).get("phase") == "Pending" for pod in pods):
        try:
            events = cluster.find("v1", "Event", one.namespace)
        except Forbidden:
            events = []  # they only improve messages, so an error is ignored
    return Observed(workload, newest, sets, pods, events, before, _floor(one, objects))


def wait(cluster: Cluster, objects: Sequence[Object], before: Before, until: float) -> None:
    """Return when all workloads are ready; print what changes. An API server that does not answer is asked again.
    `until` is monotonic. Raises ReleaseFailed with the cluster's own message.
    """
    start, looks, bad, said = time.monotonic(), 0, dict[str, int](), list[str]()
    wanted = [manifests.reference(item) for item in objects if item["kind"] in WORKLOADS]
    while wanted:
        judged: dict[Reference, Verdict] = {}
        earlier = said
        try:
            found = {one: observe(cluster, one, objects, before.get(one)) for one in wanted}
        except ClusterError as error:
            if error.final:
                raise
            said = [error.message]
        else:
            if missing := [str(one) for one, seen in found.items() if seen is None]:
                raise ReleaseFailed(f"{', '.join(missing)} is gone: somebody deleted it meanwhile")
            judged = {one: rollout.judge(seen) for one, seen in found.items() if seen}
            said = [f"{one}: {verdict.summary}" for one, verdict in judged.items()]
            pods = [line for seen in found.values() if seen for line in rollout.lines(seen)]
            said += [f"  Pod/{line.name}: {line.reason}" for line in pods if line.current and not line.ready]
        for line in said:
            if line not in earlier:
                print(line, file=sys.stderr, flush=True)
        looks += bool(judged)
        bad = {verdict.remedy: bad.get(verdict.remedy, 0) + 1 for verdict in judged.values() if verdict.remedy}
        for one, verdict in judged.items():
            if verdict.remedy and bad[verdict.remedy] > verdict.looks:
                raise ReleaseFailed(_told(cluster, one, verdict))
        if judged and all(verdict.done and (verdict.settled or looks > _SETTLES) for verdict in judged.values()):
            return
        if time.monotonic() + POLL_S > until:
            reasons = "; ".join(line.strip() for line in said)
            raise ReleaseFailed(f"not ready after {time.monotonic() - start:.0f} s ({reasons}); --timeout waits longer")
        time.sleep(POLL_S)


def vanished(cluster: Cluster, gone: Sequence[Reference], until: float) -> None:
    """Return when all objects are gone; an API server that does not answer is asked again.

    Raises ReleaseFailed with the finalizers of those that stay.
    """
    for one in gone:
        why = ""
        while True:
            try:
                if (live := cluster.get(one)) is None:
                    break
                why = ", ".join(live["metadata"].get("finalizers") or []) or "no finalizer"
            except ClusterError as error:
                if error.final:
                    raise
                why = error.message
            if time.monotonic() > until:
                raise ReleaseFailed(f"{one} is being deleted and does not go ({why}); --timeout waits longer")
            time.sleep(POLL_S / 2)


def _floor(one: Reference, objects: Sequence[Object]) -> int:
    """The fewest pods of the autoscaler that has this workload: it scales up to it after the first apply."""
    for item in objects:
        spec = item.get("spec") or {}
        if (spec.get("scaleTargetRef") or {}).get("name") == one.name and one.kind == "Deployment":
            return int(spec.get("minReplicas", spec.get("minReplicaCount", 0)))
    return 0


def _told(cluster: Cluster, one: Reference, verdict: Verdict) -> str:
    said = f"{verdict.summary if verdict.pod else f'{one}: {verdict.summary}'}; {verdict.remedy}"
    if "CrashLoopBackOff" not in verdict.summary:
        return said
    log = cluster.log(one.namespace, verdict.pod, verdict.container)
    return said + (f"\nthe end of its log:\n{log}" if log else "; it wrote no log")

"""Observes the workloads of a release until all are done, one has failed, or the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from deploy import manifests, rollout
from deploy.errors import ClusterError, Forbidden, RolloutFailed
from deploy.rollout import Observed, Verdict
from deploy.types import Object, Reference

if TYPE_CHECKING:
    from deploy.cluster import Cluster

WORKLOADS = ("Deployment", "InferenceService")
# KServe puts the InferenceService's name here on each of its Deployments and pods.
_KSERVE = "serving.kserve.io/inferenceservice"
# Seconds between two looks, and how many KServe gets to notice a change that alters nothing we can see.
POLL_S, _SETTLES = 1.0, 20
_LOG_LINES = 5
Show = Callable[[Mapping[Reference, tuple[Observed, Verdict]]], None]
Before = Mapping[Reference, Object | None]


def workloads(objects: Sequence[Object]) -> list[Reference]:
    """What of these becomes ready after it was applied."""
    return [manifests.reference(item) for item in objects if item["kind"] in WORKLOADS]


def observe(
    cluster: Cluster, one: Reference, objects: Sequence[Object], before: Object | None = None
) -> Observed | None:
    """The workload with its ReplicaSets, pods and their events; None if it is not there."""
    workload = cluster.get(one)
    if workload is None:
        return None
    if one.kind == "InferenceService":
        selector = f"{_KSERVE}={one.name}"
    else:
        selector = ",".join(f"{key}={value}" for key, value in workload["spec"]["selector"]["matchLabels"].items())
    kinds = (("apps/v1", "ReplicaSet"), ("v1", "Pod"), ("apps/v1", "Deployment"))[: 3 if _KSERVE in selector else 2]
    sets, pods, *rest = cluster.each(lambda kind: cluster.find(kind[0], kind[1], one.namespace, selector), kinds)
    deployments = sorted(rest[0], key=lambda d: str(d["metadata"].get("creationTimestamp"))) if rest else [workload]
    events: list[Object] = []
    if any((pod.get("status") or {}).get("phase") == "Pending" for pod in pods):
        try:
            events = cluster.find("v1", "Event", one.namespace)
        except Forbidden:
            events = []  # they only improve messages, so an error is ignored
    return Observed(workload, deployments, sets, pods, events, before, _floor(one, objects))


def wait(cluster: Cluster, objects: Sequence[Object], before: Before, until: float, show: Show) -> None:
    """Return when all workloads are ready. An API server that does not answer is asked again. `until` is monotonic.
    Raises RolloutFailed with the cluster's own message.
    """
    start, looks, bad, wanted = time.monotonic(), 0, dict[str, int](), workloads(objects)
    reasons = ["nothing was seen yet"]
    while wanted:
        try:
            found = {one: observe(cluster, one, objects, before.get(one)) for one in wanted}
        except ClusterError as error:
            if 400 <= error.http < 500 and error.http != 429:
                raise
            reasons = [error.message]
        else:
            if missing := [str(one) for one, observed in found.items() if observed is None]:
                raise RolloutFailed(f"{', '.join(missing)} is gone: somebody deleted it meanwhile")
            seen = {one: (observed, rollout.judge(observed)) for one, observed in found.items() if observed}
            show(seen)
            verdicts = {one: verdict for one, (_, verdict) in seen.items()}
            bad = {verdict.remedy: bad.get(verdict.remedy, 0) + 1 for verdict in verdicts.values() if verdict.remedy}
            looks += 1
            for one, verdict in verdicts.items():
                if verdict.remedy and bad[verdict.remedy] > verdict.looks:
                    raise RolloutFailed(_told(cluster, one, verdict))
            if all(verdict.done and (verdict.settled or looks > _SETTLES) for verdict in verdicts.values()):
                return
            reasons = [f"{one}: {verdict.summary}" for one, verdict in verdicts.items()]
            lines = [line for observed, _ in seen.values() for line in rollout.lines(observed) if not line.ready]
            reasons += [f"Pod/{line.name}: {line.reason}" for line in lines]
        if time.monotonic() + POLL_S > until:
            raise RolloutFailed(
                f"not ready after {time.monotonic() - start:.0f} s ({'; '.join(reasons)}); --timeout waits longer"
            )
        time.sleep(POLL_S)


def vanished(cluster: Cluster, gone: Sequence[Reference], until: float) -> None:
    """Return when all objects are gone. Raises RolloutFailed with the finalizers of those that stay."""
    for one in gone:
        while live := cluster.get(one):
            if time.monotonic() > until:
                holders = ", ".join(live["metadata"].get("finalizers") or []) or "no finalizer"
                raise RolloutFailed(f"{one} is being deleted and does not go ({holders}); --timeout waits longer")
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
    log = ""
    for previous in (True, False):
        log = log or cluster.log(one.namespace, verdict.pod, verdict.container, lines=_LOG_LINES, previous=previous)
    return said + (f"\nthe end of its log:\n{log}" if log else "; it wrote no log")

"""Observe the workloads of a release until each is done, one has failed, or the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from deploy import manifests, rollout
from deploy.errors import ClusterError, RolloutFailed
from deploy.rollout import Failure, Observed, Progress
from deploy.types import Cluster, Object, Reference, Release

WORKLOADS = ("Deployment", "InferenceService")
# KServe puts the InferenceService's name here on each of its pods.
_KSERVE = "serving.kserve.io/inferenceservice"
_LOG_LINES = 5
Show = Callable[[Mapping[Reference, tuple[Observed, Progress | Failure]]], None]


def workloads(objects: Sequence[Object]) -> list[Reference]:
    """What of these becomes ready after it was applied."""
    return [manifests.reference(item) for item in objects if item["kind"] in WORKLOADS]


def observe(cluster: Cluster, reference: Reference) -> Observed | None:
    """The workload with its ReplicaSets, pods and their events; None if it is not there."""
    workload = cluster.get(reference)
    if workload is None:
        return None
    selector = _selector(workload)
    sets = cluster.find("apps/v1", "ReplicaSet", reference.namespace, selector)
    pods = cluster.find("v1", "Pod", reference.namespace, selector)
    try:
        events = cluster.find("v1", "Event", reference.namespace) if pods else []
    except ClusterError as error:
        if error.http != 403:  # events make messages better; they are not worth failing for
            raise
        events = []
    return Observed(workload, sets, pods, events)


def wait(cluster: Cluster, release: Release, objects: Sequence[Object], seconds: float, show: Show) -> None:
    """Return when all workloads are ready. Raises RolloutFailed with the cluster's own message."""
    wanted = workloads(objects)
    until = time.monotonic() + seconds
    for _ in _changes(cluster, release, wanted):
        seen: dict[Reference, tuple[Observed, Progress | Failure]] = {}
        for reference in wanted:
            observed = observe(cluster, reference)
            if observed is None:
                raise RolloutFailed(f"{reference} is gone: somebody deleted it meanwhile")
            seen[reference] = observed, rollout.judge(observed)
        show(seen)
        for _, verdict in seen.values():
            if isinstance(verdict, Failure):
                raise RolloutFailed(_with_log(cluster, release, verdict))
        if all(isinstance(verdict, Progress) and verdict.done for _, verdict in seen.values()):
            return
        if time.monotonic() > until:
            pods = [line for observed, _ in seen.values() for line in rollout.lines(observed) if not line.ready]
            waits = [
                f"{name}: {verdict.summary}" for name, (_, verdict) in seen.items() if isinstance(verdict, Progress)
            ]
            waits += [f"Pod/{line.name}: {line.reason}" for line in pods]
            raise RolloutFailed(f"not ready after {seconds:g} s ({'; '.join(waits)}); --timeout waits longer")


def vanished(cluster: Cluster, gone: Sequence[Reference], seconds: float) -> Iterator[Reference]:
    """Each object when it is really gone. Raises RolloutFailed with the finalizers of what stays."""
    until = time.monotonic() + seconds
    for reference in gone:
        while live := cluster.get(reference):
            if time.monotonic() > until:
                holders = ", ".join(live["metadata"].get("finalizers") or []) or "no finalizer"
                raise RolloutFailed(f"{reference} is not gone after {seconds:g} s ({holders}); `delete` again waits on")
            time.sleep(0.5)
        yield reference


def _changes(cluster: Cluster, release: Release, wanted: Sequence[Reference]) -> Iterator[object]:
    """A beat for each change of a pod and every few seconds; once, if nothing is to be waited for."""
    if not wanted:
        return iter(())
    workload = cluster.get(wanted[0])
    return cluster.watch("v1", "Pod", release.namespace, _selector(workload) if workload else "")


def _selector(workload: Object) -> str:
    if workload["kind"] == "InferenceService":
        return f"{_KSERVE}={workload['metadata']['name']}"
    labels = workload["spec"]["selector"].get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _with_log(cluster: Cluster, release: Release, failure: Failure) -> str:
    if failure.reason != "CrashLoopBackOff":
        return str(failure)
    log = ""
    for previous in (True, False):
        log = log or cluster.log(release.namespace, failure.pod, failure.container, lines=_LOG_LINES, previous=previous)
    return str(failure) + (f"\nthe end of its log:\n{log}" if log else "; it wrote no log")

"""Observed objects -> in progress, done, or failed with the reason.                                         (pure)

A failure is a state that waiting will not change: an image that cannot be pulled, a container that keeps crashing, a
pod that fits no node, a quota, a passed deadline. A state that may be temporary counts as failed after a number of
looks, one a second. The message is always the cluster's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy.types import Object

_PULL = "check image.repository, image.tag and the pull secrets"
# The reason why a container waits -> (looks until it counts as failed, remedy).
_BAD_WAITS = {
    "ErrImagePull": (90, _PULL),
    "ImagePullBackOff": (90, _PULL),
    "InvalidImageName": (0, "check image.repository and image.tag"),
    "ErrImageNeverPull": (0, "load the image onto the node, or change image.pullPolicy"),
    "CreateContainerConfigError": (30, "a ConfigMap or Secret that the container names is missing"),
    "CreateContainerError": (30, "the container runtime refuses the container"),
    "RunContainerError": (30, "the container runtime cannot start the command"),
    "CrashLoopBackOff": (30, "the log says why; `rollback` brings the revision before it back"),
}
# Answers of a registry after which trying again cannot help.
_NO_IMAGE = re.compile(r"not found|manifest unknown|denied|unauthorized|no match for platform", re.IGNORECASE)
_SURE_CRASHES = 3
_NO_NODE, _NO_POD, _BAD_SERVICE, _SETTLES = 60, 30, 30, 20
_BAD_SERVICES = {"ModelLoadFailed", "RuntimeNotRecognized", "NoSupportingRuntime", "InvalidPredictorSpec"}
_MOUNTS = {"FailedMount", "FailedAttachVolume"}
_PORT = 3000
_REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class Observed:
    """What the cluster has for one workload. `before` is the workload as it was before this apply, `floor` the fewest
    pods of its autoscaler. `deployment` is KServe's newest for an InferenceService; else the workload.
    """

    workload: Object
    deployment: Object | None
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    before: Object | None = None
    floor: int = 0


@dataclass(frozen=True)
class PodLine:
    """One pod in one line. `current`: of the newest revision. `port`: the first that it names, else the image's own."""

    name: str
    ready: bool
    restarts: int
    reason: str
    current: bool
    port: int


@dataclass(frozen=True)
class Verdict:
    """`done`, or how far it is. With `remedy`, it has failed once it was so in so many `looks`. `pod` and `container`
    name whose log may say more. `settled` is False as long as KServe may not have looked at an InferenceService yet.
    """

    summary: str
    remedy: str = ""
    looks: int = 0
    pod: str = ""
    container: str = ""
    done: bool = False
    settled: bool = True


def judge(seen: Observed) -> Verdict:
    """Judge a Deployment or InferenceService."""
    owner = seen.deployment or {"metadata": {}}
    if (owner.get("status") or {}).get("observedGeneration", 0) < owner["metadata"].get("generation", 0):
        return Verdict("the cluster has not looked at it yet")
    # Until KServe has looked at an InferenceService, what there is may be of the earlier one.
    same = seen.before and seen.before["metadata"].get("generation") == seen.workload["metadata"].get("generation")
    changed = (seen.before or {}).get("status") != seen.workload.get("status")
    settled = bool(seen.workload["kind"] == "Deployment" or same or changed)
    for pod in newest(seen):
        if failure := _pod(pod, seen.events):
            return failure if settled else replace(failure, looks=max(failure.looks, _SETTLES))
    if seen.workload["kind"] == "Deployment":
        return _deployment(seen.workload, seen)
    return replace(_inference(seen), settled=settled)


def newest(seen: Observed) -> list[Object]:
    """The pods of the newest ReplicaSet: an earlier revision's crashes are not this one's."""
    if seen.deployment is None:
        return []
    wanted = (seen.deployment["metadata"].get("annotations") or {}).get(_REVISION)
    sets = [item["metadata"] for item in seen.replica_sets if _owned(item, seen.deployment["metadata"]["uid"])]
    uids = [item["uid"] for item in sets if (item.get("annotations") or {}).get(_REVISION) == wanted]
    return [pod for pod in seen.pods if any(_owned(pod, uid) for uid in uids)]


def lines(seen: Observed) -> list[PodLine]:
    """Each pod in a line, the newest revision's first."""
    found, current = [], [pod["metadata"]["name"] for pod in newest(seen)]
    for pod in seen.pods:
        name, conditions, statuses = pod["metadata"]["name"], _conditions(pod), _statuses(pod)
        reason = str((pod.get("status") or {}).get("phase", ""))
        for container in statuses:
            state = container.get("state") or {}
            ended = state.get("waiting") or (state.get("terminated") if not container.get("ready") else None) or {}
            if ended.get("reason") and ended["reason"] != "Completed":
                reason = ended["reason"]
        if conditions.get("PodScheduled", {}).get("status") == "False":
            reason = conditions["PodScheduled"].get("reason", reason)
        if pod["metadata"].get("deletionTimestamp"):
            reason = "Terminating"
        warnings = [event for event in _events(name, seen.events) if event.get("reason") in _MOUNTS]
        if warnings and reason in {"Pending", "ContainerCreating", "PodInitializing"}:
            reason = f"{warnings[-1]['reason']}: {warnings[-1].get('message', '')}"
        restarts = sum(container.get("restartCount", 0) for container in statuses)
        ready = conditions.get("Ready", {}).get("status") == "True"
        ports = [entry["containerPort"] for one in pod["spec"]["containers"] for entry in one.get("ports") or []]
        found.append(PodLine(name, ready, restarts, reason, name in current, (ports or [_PORT])[0]))
    return sorted(found, key=lambda line: (not line.current, line.name))


def _deployment(item: Object, seen: Observed) -> Verdict:
    status = item.get("status") or {}
    old = _conditions(seen.before or {}) if item is seen.workload else {}
    # A condition that is unchanged since before this apply was not caused by it.
    conditions = {kind: entry for kind, entry in _conditions(item).items() if entry != old.get(kind)}
    stuck, going = conditions.get("ReplicaFailure", {}), conditions.get("Progressing", {})
    if stuck.get("status") == "True":
        remedy = "raise the ResourceQuota, or lower the replicas or requests"
        if "quota" not in stuck.get("message", ""):
            remedy = "an admission rule of the cluster refuses the pods as they are"
        return Verdict(f"{stuck.get('reason', 'ReplicaFailure')}: {stuck.get('message', '')}", remedy, _NO_POD)
    if going.get("reason") == "ProgressDeadlineExceeded":
        waits = "; ".join(f"{pod.name}: {pod.reason}" for pod in lines(seen) if not pod.ready and pod.reason)
        message = ", ".join(part for part in (going.get("message", ""), waits) if part)
        return Verdict(f"{going['reason']}: {message}", "`status` shows the pods, `rollback` goes back")
    wanted = max(item["spec"].get("replicas", 1), seen.floor)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    surplus = status.get("replicas", 0) - updated
    summary = f"{available} of {wanted} available, {updated} of the new revision"
    summary += f", {surplus} old to go" if surplus > 0 else ""
    return Verdict(summary, done=updated >= wanted and available >= wanted and surplus <= 0)


def _inference(seen: Observed) -> Verdict:
    """Its `observedGeneration` is another object's: what counts are its pods, and conditions that changed."""
    status, conditions = seen.workload.get("status") or {}, _conditions(seen.workload)
    old = list(_conditions(seen.before or {}).values())
    for fault in conditions.values():
        if fault.get("reason") in _BAD_SERVICES and fault not in old:
            message = f"{fault['reason']}: {fault.get('message', '')}"
            return Verdict(message, "see the ServingRuntime and storageUri", _BAD_SERVICE)
    parts = ((status.get("components") or {}).get("predictor")) or {}
    if (created := parts.get("latestCreatedRevision")) != parts.get("latestReadyRevision"):
        return Verdict(f"{created} is not ready yet")
    if seen.deployment and not (verdict := _deployment(seen.deployment, seen)).done:
        return verdict
    ready = conditions.pop("Ready", {})
    if ready.get("status") != "True":
        waits = [f"{kind}: {entry.get('reason') or entry['status']}" for kind, entry in conditions.items()]
        return Verdict(ready.get("message") or ", ".join(waits) or "waiting for KServe")
    return Verdict("Ready", done=True)


def _pod(pod: Object, events: Sequence[Object]) -> Verdict | None:
    """A failure of a pod that is not being deleted."""
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for container in _statuses(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _BAD_WAITS:
            looks, remedy = _BAD_WAITS[reason]
            message = waiting.get("message", "") or "no message"
            if reason == "CrashLoopBackOff":
                message = _crash(container)
                looks = 0 if container.get("restartCount", 0) >= _SURE_CRASHES else looks
            elif remedy == _PULL and _NO_IMAGE.search(message):
                looks = 0
            return Verdict(f"Pod/{name}: {reason}: {message}", remedy, looks, name, container["name"])
    scheduled = _conditions(pod).get("PodScheduled", {})
    # A cluster autoscaler announces a new node with this event: then waiting helps.
    coming = any(event.get("reason") == "TriggeredScaleUp" for event in _events(name, events))
    if scheduled.get("reason") != "Unschedulable" or coming:
        return None
    remedy = "free or add a node, or lower resources.requests; `preflight` says what each node has"
    return Verdict(f"Pod/{name}: Unschedulable: {scheduled.get('message', '')}", remedy, _NO_NODE, name)


def _crash(container: Object) -> str:
    last = (container.get("lastState") or {}).get("terminated") or {}
    said = (last.get("message") or "").strip()
    how = f"{last.get('reason', 'Error')}, exit code {last.get('exitCode', '?')}"
    count = container.get("restartCount", 0)
    return f"container {container['name']} ended {count} times ({how})" + (f": {said}" if said else "")


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _conditions(item: Object) -> dict[str, Object]:
    return {entry["type"]: entry for entry in (item.get("status") or {}).get("conditions") or []}


def _events(pod: str, events: Sequence[Object]) -> list[Object]:
    return [event for event in events if event.get("involvedObject", {}).get("name") == pod]


def _owned(item: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences") or [])

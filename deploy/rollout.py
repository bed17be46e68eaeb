"""Observed objects -> in progress, done, or failed with the reason.
(pure)

A failure is a state that waiting will not change: an image that cannot be pulled, a container that keeps crashing, a
pod that fits no node, a quota, a passed deadline. A state that may be temporary counts as failed after a number of
looks, one a second. The message is always the cluster's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
_PORT = 3000
_REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class Observed:
    """What the cluster has for one workload. `before` is the workload as it was before this apply, `floor` the fewest
    pods of its autoscaler. `deployments` are KServe's for an InferenceService, the newest last; else the workload.
    """

    workload: Object
    deployments: Sequence[Object] = ()
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    before: Object | None = None
    floor: int = 0


@dataclass(frozen=True)
class PodLine:
    """One pod in one line. `current`: of the newest revision."""

    name: str
    ready: bool
    restarts: int
    reason: str
    current: bool


@dataclass(frozen=True)
class Verdict:
    """`done`, or how far it is. With `remedy`, it has failed once it was so in so many `looks`. `pod` and `container`
    name whose log may say more. `settled` is False as long as KServe may not have looked at an InferenceService yet.
    """

    summary: str
    done: bool = False
    remedy: str = ""
    looks: int = 0
    pod: str = ""
    container: str = ""
    settled: bool = True


def judge(seen: Observed) -> Verdict:
    """Judge a Deployment or InferenceService."""
    if any(_unseen(item) for item in seen.deployments[-1:]):
        return Verdict("the cluster has not looked at it yet")
    for pod in newest(seen):
        if failure := _pod(pod, seen.events):
            # Until KServe has seen the change, these may be the earlier pods.
            return failure if _settled(seen) else replace(failure, looks=max(failure.looks, _SETTLES))
    if seen.workload["kind"] == "InferenceService":
        return _inference(seen)
    return _deployment(seen.workload, seen)


def newest(seen: Observed) -> list[Object]:
    """The pods of the newest ReplicaSet: an earlier revision's crashes are not this one's."""
    owners = seen.deployments[-1:]
    sets = {
        item["metadata"]["uid"] for item in seen.replica_sets for owner in owners
        if _owned(item, owner["metadata"]["uid"]) and _mark(item) == _mark(owner)
    }  # fmt: skip
    return [pod for pod in seen.pods if any(_owned(pod, uid) for uid in sets)]


def lines(seen: Observed) -> list[PodLine]:
    """Each pod in a line, the newest revision's first."""
    current = {pod["metadata"]["name"] for pod in newest(seen)}
    found = [_line(pod, seen.events, pod["metadata"]["name"] in current) for pod in seen.pods]
    return sorted(found, key=lambda line: (not line.current, line.name))


def port(seen: Observed, pod: str) -> int:
    """The port that a pod listens on: the first that its first container names, else the image's own."""
    (found,) = [item for item in seen.pods if item["metadata"]["name"] == pod]
    ports = found["spec"]["containers"][0].get("ports") or [{"containerPort": _PORT}]
    return int(ports[0]["containerPort"])


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
        return Verdict(f"{stuck.get('reason', 'ReplicaFailure')}: {stuck.get('message', '')}", False, remedy, _NO_POD)
    if going.get("reason") == "ProgressDeadlineExceeded":
        waits = "; ".join(f"{pod.name}: {pod.reason}" for pod in lines(seen) if not pod.ready and pod.reason)
        message = ", ".join(part for part in (going.get("message", ""), waits) if part)
        return Verdict(f"{going['reason']}: {message}", False, "`status` shows the pods, `rollback` goes back")
    wanted = max(item["spec"].get("replicas", 1), seen.floor)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    surplus = status.get("replicas", 0) - updated
    done = updated >= wanted and available >= wanted and surplus <= 0
    summary = f"{available} of {wanted} available, {updated} of the new revision"
    return Verdict(summary + (f", {surplus} old to go" if surplus > 0 else ""), done)


def _inference(seen: Observed) -> Verdict:
    """Its `observedGeneration` is another object's: what counts are its pods, and conditions that changed."""
    status, before = seen.workload.get("status") or {}, seen.before or {}
    conditions = _conditions(seen.workload)
    fault = next((entry for entry in conditions.values() if entry.get("reason") in _BAD_SERVICES), None)
    if fault and fault not in _conditions(before).values():
        message = f"{fault['reason']}: {fault.get('message', '')}"
        return Verdict(message, False, "see the ServingRuntime and storageUri", _BAD_SERVICE)
    parts = ((status.get("components") or {}).get("predictor")) or {}
    created, latest = parts.get("latestCreatedRevision"), parts.get("latestReadyRevision")
    if created != latest:
        return Verdict(f"{created} is not ready yet")
    for item in seen.deployments[-1:]:
        verdict = _deployment(item, seen)
        if not verdict.done:
            return verdict
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        waits = [
            f"{kind}: {entry.get('reason') or entry['status']}" for kind, entry in conditions.items() if kind != "Ready"
        ]
        return Verdict(ready.get("message") or ", ".join(waits) or "waiting for KServe")
    return Verdict("Ready", True, settled=_settled(seen))


def _unseen(item: Object) -> bool:
    return bool((item.get("status") or {}).get("observedGeneration", 0) < item["metadata"].get("generation", 0))


def _settled(seen: Observed) -> bool:
    """Whether KServe has looked at an InferenceService: nothing is new for it, or its status has changed."""
    before, now = seen.before or {}, seen.workload
    same = now["metadata"].get("generation") == before.get("metadata", {}).get("generation")
    return now["kind"] == "Deployment" or same or now.get("status") != before.get("status")


def _pod(pod: Object, events: Sequence[Object]) -> Verdict | None:
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
            return Verdict(f"Pod/{name}: {reason}: {message}", False, remedy, looks, name, container["name"])
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("reason") == "Unschedulable":
        # A cluster autoscaler announces a new node with this event: then waiting helps.
        if any(event.get("reason") == "TriggeredScaleUp" for event in _events(pod, events)):
            return None
        remedy = "free or add a node, or lower resources.requests; `preflight` says what each node has"
        return Verdict(f"Pod/{name}: Unschedulable: {scheduled.get('message', '')}", False, remedy, _NO_NODE, name)
    return None


def _crash(container: Object) -> str:
    last = (container.get("lastState") or {}).get("terminated") or {}
    said = (last.get("message") or "").strip()
    how = f"{last.get('reason', 'Error')}, exit code {last.get('exitCode', '?')}"
    count = container.get("restartCount", 0)
    return f"container {container['name']} ended {count} times ({how})" + (f": {said}" if said else "")


def _line(pod: Object, events: Sequence[Object], current: bool) -> PodLine:
    statuses = list(_statuses(pod))
    reason = str((pod.get("status") or {}).get("phase", ""))
    for container in statuses:
        state = container.get("state") or {}
        ended = state.get("waiting") or (state.get("terminated") if not container.get("ready") else None) or {}
        if ended.get("reason") and ended["reason"] != "Completed":
            reason = ended["reason"]
    if _condition(pod, "PodScheduled").get("status") == "False":
        reason = _condition(pod, "PodScheduled").get("reason", reason)
    if pod["metadata"].get("deletionTimestamp"):
        reason = "Terminating"
    warnings = [event for event in _events(pod, events) if event.get("reason") in {"FailedMount", "FailedAttachVolume"}]
    if warnings and reason in {"Pending", "ContainerCreating", "PodInitializing"}:
        reason = f"{warnings[-1]['reason']}: {warnings[-1].get('message', '')}"
    ready = _condition(pod, "Ready").get("status") == "True"
    restarts = sum(container.get("restartCount", 0) for container in statuses)
    return PodLine(pod["metadata"]["name"], ready, restarts, reason, current)


def _statuses(pod: Object) -> Iterator[Object]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _conditions(item: Object) -> dict[str, Object]:
    return {entry["type"]: entry for entry in (item.get("status") or {}).get("conditions") or []}


def _condition(pod: Object, kind: str) -> Object:
    return _conditions(pod).get(kind, {})


def _events(pod: Object, events: Sequence[Object]) -> list[Object]:
    return [event for event in events if event.get("involvedObject", {}).get("name") == pod["metadata"]["name"]]


def _owned(item: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences") or [])


def _mark(item: Object) -> str | None:
    return (item["metadata"].get("annotations") or {}).get(_REVISION)

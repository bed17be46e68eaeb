"""Observed objects -> going on, done, or failed and why.                                                     (pure)

A failure is what will not mend itself while somebody waits: an image that cannot be pulled, a container that keeps
crashing, a pod that fits no node, a quota, a deadline that passed. The message is always the cluster's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy import manifests
from deploy.types import Object

_BAD_WAITS = {
    "ImagePullBackOff": "check image.repository, image.tag and imagePullSecrets",
    "ErrImagePull": "check image.repository, image.tag and imagePullSecrets",
    "InvalidImageName": "check image.repository and image.tag",
    "ErrImageNeverPull": "load the image onto the node, or change image.pullPolicy",
    "CreateContainerConfigError": "a ConfigMap or Secret that the container names is missing",
    "CreateContainerError": "the container runtime refuses the container",
    "RunContainerError": "the container runtime cannot start the command",
    "CrashLoopBackOff": "the log says why; `rollback` brings the revision before it back",
}
_BAD_SERVICES = {"ModelLoadFailed", "RuntimeNotRecognized", "NoSupportingRuntime", "InvalidPredictorSpec"}
_PORT = 3000
_REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class Observed:
    """What the cluster has for one workload. Events are those of its pods."""

    workload: Object
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()


@dataclass(frozen=True)
class PodLine:
    """One pod in one line. `current`: of the newest revision."""

    name: str
    ready: bool
    restarts: int
    reason: str
    current: bool


@dataclass(frozen=True)
class Progress:
    """Not failed. `summary` says how far it is."""

    done: bool
    summary: str


@dataclass(frozen=True)
class Failure:
    """It will not become ready. `container` names whose log may say more."""

    subject: str
    reason: str
    message: str
    remedy: str
    pod: str = ""
    container: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}: {self.message}; {self.remedy}"


def judge(seen: Observed) -> Progress | Failure:
    """How a Deployment or InferenceService is doing."""
    name = manifests.reference(seen.workload)
    status = seen.workload.get("status") or {}
    generation = seen.workload["metadata"].get("generation", 0)
    observed = status.get("observedGeneration", 0 if seen.workload["kind"] == "Deployment" else generation)
    if observed < generation:
        return Progress(False, "the cluster has not looked at it yet")
    for pod in newest(seen):
        if failure := _pod(pod, seen.events):
            return failure
    conditions = {entry["type"]: entry for entry in status.get("conditions") or []}
    if seen.workload["kind"] == "InferenceService":
        return _inference(str(name), conditions)
    stuck = conditions.get("ReplicaFailure", {})
    if stuck.get("status") == "True":
        remedy = "raise the ResourceQuota, or lower the replicas or requests"
        if "quota" not in stuck.get("message", ""):
            remedy = "an admission rule of the cluster refuses the pods as they are"
        return Failure(str(name), stuck.get("reason", "ReplicaFailure"), stuck.get("message", ""), remedy)
    going = conditions.get("Progressing", {})
    if going.get("reason") == "ProgressDeadlineExceeded":
        waits = "; ".join(f"{pod.name}: {pod.reason}" for pod in lines(seen) if not pod.ready and pod.reason)
        message = ", ".join(part for part in (going.get("message", ""), waits) if part)
        return Failure(str(name), going["reason"], message, "`status` shows the pods, `rollback` goes back")
    wanted = seen.workload["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    old = status.get("replicas", 0) - updated
    done = updated >= wanted and available >= wanted and old <= 0
    summary = f"{available} of {wanted} available, {updated} of the new revision"
    return Progress(done, summary + (f", {old} old to go" if old > 0 else ""))


def newest(seen: Observed) -> list[Object]:
    """The pods of the newest ReplicaSet: an earlier revision's crashes are not this one's."""
    if seen.workload["kind"] == "Deployment":
        revision = (seen.workload["metadata"].get("annotations") or {}).get(_REVISION)
        current = [s for s in seen.replica_sets if (s["metadata"].get("annotations") or {}).get(_REVISION) == revision]
    else:
        current = sorted(seen.replica_sets, key=lambda item: str(item["metadata"].get("creationTimestamp")))[-1:]
    sets = {item["metadata"]["uid"] for item in current}
    return [pod for pod in seen.pods if any(o["uid"] in sets for o in pod["metadata"].get("ownerReferences") or [])]


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


def _pod(pod: Object, events: Sequence[Object]) -> Failure | None:
    name = pod["metadata"]["name"]
    subject = f"Pod/{name}"
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for container in _statuses(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _BAD_WAITS:
            message = waiting.get("message", "") or "no message"
            if reason == "CrashLoopBackOff":
                message = _crash(container)
            return Failure(subject, reason, message, _BAD_WAITS[reason], name, container["name"])
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("reason") == "Unschedulable":
        # A cluster autoscaler says so when it brings a node: then it is worth waiting.
        if any(event.get("reason") == "TriggeredScaleUp" for event in _events(pod, events)):
            return None
        remedy = "free or add a node, or lower resources.requests; `preflight` says what each node has"
        return Failure(subject, "Unschedulable", scheduled.get("message", ""), remedy, name)
    return None


def _crash(container: Object) -> str:
    last = (container.get("lastState") or {}).get("terminated") or {}
    said = (last.get("message") or "").strip()
    how = f"{last.get('reason', 'Error')}, exit code {last.get('exitCode', '?')}"
    return f"container {container['name']} ended {container.get('restartCount', 0)} times ({how})" + (
        f": {said}" if said else ""
    )


def _inference(name: str, conditions: dict[str, Object]) -> Progress | Failure:
    ready = conditions.get("Ready", {})
    if ready.get("status") == "True":
        return Progress(True, "Ready")
    waits = [
        f"{kind}: {entry.get('reason') or entry['status']}" for kind, entry in conditions.items() if kind != "Ready"
    ]
    fault = next((entry for entry in conditions.values() if entry.get("reason") in _BAD_SERVICES), None)
    if fault:
        return Failure(name, fault["reason"], fault.get("message", ""), "see the ServingRuntime and storageUri")
    return Progress(False, ready.get("message") or ", ".join(waits) or "waiting for KServe")


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


def _condition(pod: Object, kind: str) -> Object:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == kind), {})


def _events(pod: Object, events: Sequence[Object]) -> list[Object]:
    return [event for event in events if event.get("involvedObject", {}).get("name") == pod["metadata"]["name"]]

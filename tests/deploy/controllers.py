"""What a cluster's controllers and kubelets do with a Deployment, as far as a rollout is concerned."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from hashlib import sha256
from threading import Timer
from typing import Any

from tests.deploy.api_server import ApiServer
from tests.deploy.wire import Refused

Object = dict[str, Any]
READY = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]


def deployment(status: Callable[[Object], Object] | None = None) -> Callable[[ApiServer, Object], None]:
    """For each new pod template, a ReplicaSet and its pods; the pod's status is `status(pod)`, by default ready."""

    def control(server: ApiServer, item: Object) -> None:
        if item["kind"] != "Deployment":
            return
        spec, space, name = item["spec"], item["metadata"]["namespace"], item["metadata"]["name"]
        digest = sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:8]
        labels = spec["template"]["metadata"]["labels"]
        old = server.find("replicasets", f"{name}-{digest}")
        revision = str(sum(key[1] == "replicasets" for key in server.objects) + 1)
        if old:
            revision = str(int(revision))
        kept = server.put({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": f"{name}-{digest}", "namespace": space, "labels": labels,
                         "ownerReferences": [{"kind": "Deployment", "uid": item["metadata"]["uid"]}],
                         "annotations": {"deployment.kubernetes.io/revision": revision}},
        }, "kube-controller-manager")  # fmt: skip
        for key in [key for key in server.objects if key[1] == "pods" and key[3].startswith(f"{name}-")]:
            server.remove(key)
        replicas, ready = spec.get("replicas", 1), 0
        for number in range(replicas):
            pod: Object = {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": f"{name}-{digest}-{number}", "namespace": space, "labels": labels,
                             "ownerReferences": [{"kind": "ReplicaSet", "uid": kept["metadata"]["uid"]}]},
                "spec": copy.deepcopy(spec["template"]["spec"]),
            }  # fmt: skip
            pod["status"] = status(pod) if status else {"phase": "Running", "conditions": READY}
            ready += any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or [])
            server.put(pod, "kubelet")
        live = copy.deepcopy(server.find("deployments", name))
        assert live
        live["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = revision
        live["status"] = {"observedGeneration": live["metadata"]["generation"], "replicas": replicas,
                          "updatedReplicas": replicas, "availableReplicas": ready}  # fmt: skip
        server.put(live, "kube-controller-manager")

    return control


def waiting(reason: str, message: str = "", last: Object | None = None) -> Callable[[Object], Object]:
    """A container that waits, as a kubelet says it."""

    def status(_pod: Object) -> Object:
        container: Object = {"name": "wordtell", "ready": False, "restartCount": 3 if last else 0}
        container["state"] = {"waiting": {"reason": reason, "message": message}}
        if last:
            container["lastState"] = {"terminated": last}
        return {
            "phase": "Pending",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [container],
        }

    return status


def unschedulable(message: str) -> Callable[[Object], Object]:
    """A pod that the scheduler cannot place."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return lambda _pod: {"phase": "Pending", "conditions": [condition]}


def autoscaler(server: ApiServer, item: Object) -> None:
    """A HorizontalPodAutoscaler that brings its Deployment to the fewest pods, through the scale subresource."""
    if item["kind"] == "HorizontalPodAutoscaler":
        live = copy.deepcopy(server.find("deployments", item["spec"]["scaleTargetRef"]["name"]))
        assert live
        live["spec"]["replicas"] = max(live["spec"]["replicas"], item["spec"]["minReplicas"])
        server.controllers[0](server, server.put(live, "kube-controller-manager", "scale"))


def kserve(server: ApiServer, item: Object, *, seconds: float = 0.3) -> None:
    """KServe in Standard mode: after a while a Deployment, whose generation becomes the `observedGeneration`."""
    if item["kind"] != "InferenceService":
        return
    name, space = item["metadata"]["name"], item["metadata"]["namespace"]
    labels = {"serving.kserve.io/inferenceservice": name}

    def reconcile() -> None:
        made: Object = {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": f"{name}-predictor", "namespace": space, "labels": labels},
            "spec": {"replicas": item["spec"]["predictor"].get("minReplicas", 1), "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}},
        }  # fmt: skip
        deployment()(server, server.put(made, "kserve"))
        child, live = (
            server.find("deployments", f"{name}-predictor"),
            copy.deepcopy(server.find("inferenceservices", name)),
        )
        assert child
        assert live
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": f"at {server.version}"}
        generation = child["metadata"]["generation"] + 7
        live["status"] = {"observedGeneration": generation, "conditions": [ready], "url": "http://w.example.org"}
        server.put(live, "kserve", "status")

    Timer(seconds, reconcile).start()


def kserve_webhook(server: ApiServer, item: Object) -> None:
    """What KServe refuses: an external metric without `target.value`, and runtimes that compete for a format."""
    if item["kind"] == "InferenceService":
        for metric in (item["spec"]["predictor"].get("autoScaling") or {}).get("metrics") or []:
            if metric["type"] == "External" and not metric["external"]["target"].get("value"):
                message = "the target value should be set for external metrics"
                raise Refused(403, "Forbidden", f'admission webhook "inferenceservice" denied the request: {message}')
    if item["kind"] == "ServingRuntime":

        def offers(one: Object) -> set[tuple[str, int | None]]:
            formats = one["spec"]["supportedModelFormats"]
            return {(entry["name"], entry.get("priority")) for entry in formats if entry.get("autoSelect")}

        for other in [one for key, one in server.objects.items() if key[1] == "servingruntimes"]:
            if other["metadata"]["name"] != item["metadata"]["name"] and offers(other) & offers(item):
                message = f"two runtimes with the same priority: {other['metadata']['name']}"
                raise Refused(403, "Forbidden", f'admission webhook "servingruntime" denied the request: {message}')


def fail_for(server: ApiServer, tag: str) -> None:
    """From now on pods of this image do not come up; all others do."""
    bad, good = deployment(waiting("ErrImagePull", f"example.org/wordtell:{tag}: not found")), deployment()

    def control(state: ApiServer, item: Object) -> None:
        text = json.dumps(item["spec"]) if item["kind"] == "Deployment" else ""
        (bad if f":{tag}" in text else good)(state, item)

    server.controllers[:] = [control]

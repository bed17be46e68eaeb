"""What rendered workloads need from a cluster, and whether its nodes have it.                                (pure)"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from deploy import manifests
from deploy.manifests import quantity
from deploy.types import Finding, Object, Reference

# A volume's field -> the kind that it names, and where.
_VOLUMES = {
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
    "secret": ("Secret", "secretName"),
    "configMap": ("ConfigMap", "name"),
}
# node-feature-discovery's label for each instruction set that INT8 products are fast with.
_FEATURE = "feature.node.kubernetes.io/cpu-cpuid."
_INT8 = ("AMXINT8", "AVX512VNNI", "AVXVNNI")


@dataclass(frozen=True)
class Need:
    """What a pod of one workload needs from a node and a quota: sums over its containers."""

    name: Reference
    replicas: int
    requests: Mapping[str, Decimal]
    limits: Mapping[str, Decimal]
    selector: Mapping[str, str]
    tolerations: Sequence[Object]


def needs(objects: Sequence[Object]) -> list[Need]:
    """The needs of workloads that run pods: not of a ServingRuntime, which an InferenceService runs."""
    makers = [item for item in objects if item["kind"] in {"Deployment", "InferenceService"}]
    return [_need(item) for item in makers if list(manifests.containers(item))]


def references(objects: Sequence[Object]) -> dict[Reference, str]:
    """Objects that the pods name and the manifests do not contain, with their use."""
    found = {reference: use for item in objects for reference, use in _named(item)}
    for item in objects:
        found.pop(manifests.reference(item), None)
    return found


def room(need: Need, nodes: Sequence[Object], pods: Sequence[Object] | None) -> Finding:
    """Whether a node can run a pod: ready, schedulable, tolerated, large enough, and with room. `pods`: those of all
    namespaces, or None if we may not see them.
    """
    asked = {name: need.requests[name] for name in ("cpu", "memory") if name in need.requests}
    wish = _show(asked) or "no requests"
    free = {
        node["metadata"]["name"]: {
            name: quantity((node["status"].get("allocatable") or {}).get(name, 0)) for name in ("cpu", "memory")
        }
        for node in nodes if _usable(node, need)
    }  # fmt: skip
    if not free:
        message = f"none of {len(nodes)} nodes is ready, schedulable and tolerated by {need.name}"
        return Finding("fail", "nodes", message, "uncordon or add a node, or set nodeSelector and tolerations")
    large = [name for name, has in free.items() if all(has[resource] >= value for resource, value in asked.items())]
    if not large:
        best = max(free, key=lambda name: free[name]["cpu"])
        message = f"no node has {wish} allocatable, as {need.name} requests: {best} has {_show(free[best])}"
        return Finding("fail", "nodes", message, "add a larger node, or lower resources.requests and resources.limits")
    if pods is None:
        return Finding("warn", "nodes", f"{len(large)} nodes have {wish} allocatable; how much is free is not visible",
                       "grant `list` on pods in all namespaces to see it")  # fmt: skip
    for pod in pods:
        has = free.get(pod["spec"].get("nodeName"), {})
        if (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}:
            for container in pod["spec"]["containers"]:
                for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
                    has[name] = has.get(name, Decimal(0)) - quantity(value)
    fits = [
        [max(int(free[name][resource] // value), 0) for resource, value in asked.items() if value] for name in large
    ]
    places = sum(min(counts, default=need.replicas) for counts in fits)
    if places < need.replicas:
        message = f"{need.replicas} pods with {wish} each, and room for {places} on {len(large)} large enough nodes"
        return Finding("warn", "nodes", message, "free a node, add one, or trust the cluster's autoscaler")
    return Finding("pass", "nodes", f"room for {places} pods with {wish} each; {need.replicas} wanted")


def features(nodes: Sequence[Object]) -> Finding:
    """Instruction sets for INT8, as node-feature-discovery labels them."""
    labels = [node["metadata"].get("labels") or {} for node in nodes]
    if not any(key.startswith(_FEATURE) for part in labels for key in part):
        return Finding("warn", "cpu features", "no node has labels of node-feature-discovery",
                       "install it to see which nodes have AVX512-VNNI or AMX, and to select them")  # fmt: skip
    for feature in _INT8:
        if count := sum(part.get(_FEATURE + feature) == "true" for part in labels):
            return Finding("pass", "cpu features", f"{count} of {len(nodes)} nodes have {feature}")
    return Finding("warn", "cpu features", f"no node has {' or '.join(_INT8)}: INT8 is slower there",
                   "prefer newer nodes (Cascade Lake, Zen 4 or later)")  # fmt: skip


def quota(found: Object, wanted: Sequence[Need]) -> Finding:
    """Whether one ResourceQuota has room for all pods; running pods of the same release are counted twice, so if there
    are any, a lack of room is only a warning.
    """
    name = f"ResourceQuota/{found['metadata']['name']}"
    status = found.get("status") or {}
    hard, used = status.get("hard") or found["spec"].get("hard") or {}, status.get("used") or {}
    for key, limit in hard.items():
        part, _, resource = key.rpartition(".")
        ask = Decimal(0)
        for need in wanted:
            amounts = {"": need.requests, "requests": need.requests, "limits": need.limits}.get(part, {})
            one = Decimal(1) if key in {"pods", "count/pods"} else amounts.get(resource, Decimal(0))
            ask += one * need.replicas
        left = quantity(limit) - quantity(used.get(key, 0))
        if ask > left:
            message = f"{name} leaves {left.normalize():f} of {key}; the pods need {ask.normalize():f}"
            remedy = "raise the quota, or lower replicas or resources"
            return Finding("fail" if ask > quantity(limit) else "warn", "quota", message, remedy)
    return Finding("pass", "quota", f"{name} has room")


def _need(item: Object) -> Need:
    spec, own = manifests.pod_spec(item), item["spec"]
    serves = item["kind"] == "InferenceService"
    replicas = own.get("predictor", {}).get("minReplicas", 1) if serves else own.get("replicas", 1)
    requests: dict[str, Decimal] = defaultdict(Decimal)
    limits: dict[str, Decimal] = defaultdict(Decimal)
    for container in manifests.containers(item):
        resources = container.get("resources") or {}
        most = resources.get("limits") or {}
        # Without a request, the limit is the request.
        for sums, amounts in ((limits, most), (requests, {**most, **(resources.get("requests") or {})})):
            for name, amount in amounts.items():
                sums[name] += quantity(amount)
    selector, tolerations = spec.get("nodeSelector") or {}, spec.get("tolerations") or []
    return Need(manifests.reference(item), replicas, requests, limits, selector, tolerations)


def _named(item: Object) -> Iterator[tuple[Reference, str]]:
    spec, space = manifests.pod_spec(item), item["metadata"].get("namespace", "")
    for secret in spec.get("imagePullSecrets") or []:
        yield Reference("v1", "Secret", space, secret["name"]), "an image pull secret"
    for volume in spec.get("volumes") or []:
        for field, (kind, key) in _VOLUMES.items():
            if (source := volume.get(field)) and not source.get("optional"):
                yield Reference("v1", kind, space, source[key]), f"the volume {volume['name']}"
    for variable in (entry for container in spec.get("containers") or [] for entry in container.get("env") or []):
        secret = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if secret and not secret.get("optional"):
            yield Reference("v1", "Secret", space, secret["name"]), f"the variable {variable['name']}"


def _usable(node: Object, need: Need) -> bool:
    spec, labels = node.get("spec") or {}, node["metadata"].get("labels") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions") or [])
    taints = [taint for taint in spec.get("taints") or [] if taint["effect"] in {"NoSchedule", "NoExecute"}]
    tolerated = all(any(_tolerates(toleration, taint) for toleration in need.tolerations) for taint in taints)
    selected = need.selector.items() <= labels.items()
    return ready and not spec.get("unschedulable") and tolerated and selected


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint["key"]}
    return bool(toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def _show(amounts: Mapping[str, Decimal]) -> str:
    shown = (
        f"{value / 2**30:.3g} GiB" if name == "memory" else f"{value.normalize():f} cores"
        for name, value in amounts.items()
    )  # fmt: skip
    return " and ".join(shown)

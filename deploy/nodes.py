"""Whether the nodes have room for the pods, and which instruction sets they have.
(pure)"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from deploy.manifests import quantity
from deploy.needs import Need
from deploy.types import Finding, Object

# node-feature-discovery's label for each instruction set that INT8 products are fast with.
_FEATURE = "feature.node.kubernetes.io/cpu-cpuid."
_INT8 = ("AMXINT8", "AVX512VNNI", "AVXVNNI")


def room(need: Need, found: Sequence[Object], pods: Sequence[Object] | None) -> Finding:
    """Whether a node can run a pod: ready, schedulable, tolerated, large enough, and with room. `pods`: those of all
    namespaces, or None if we may not see them.
    """
    asked = {name: need.requests[name] for name in ("cpu", "memory") if name in need.requests}
    wish = " and ".join(_show(name, value) for name, value in asked.items()) or "no requests"
    usable = [node for node in found if _usable(node, need)]
    if not usable:
        message = f"none of {len(found)} nodes is ready, schedulable and tolerated by {need.name}"
        return Finding("fail", "nodes", message, "uncordon or add a node, or set nodeSelector and tolerations")
    large = [node for node in usable if all(_allocatable(node, name) >= value for name, value in asked.items())]
    if not large:
        best = max(usable, key=lambda node: _allocatable(node, "cpu"))
        has = " and ".join(_show(name, _allocatable(best, name)) for name in ("cpu", "memory"))
        message = f"no node has {wish} allocatable, as {need.name} requests: {best['metadata']['name']} has {has}"
        return Finding("fail", "nodes", message, "add a larger node, or lower resources.requests and resources.limits")
    if pods is None:
        return Finding("warn", "nodes", f"{len(large)} nodes have {wish} allocatable; how much is free is not visible",
                       "grant `list` on pods in all namespaces to see it")  # fmt: skip
    used = _used(pods)
    places = 0
    for node in large:
        free = {
            name: max(_allocatable(node, name) - used[node["metadata"]["name"], name], Decimal(0)) for name in asked
        }
        places += min((int(free[name] // value) for name, value in asked.items() if value), default=need.replicas)
    if places < need.replicas:
        message = f"{need.replicas} pods with {wish} each, and room for {places} on {len(large)} large enough nodes"
        return Finding("warn", "nodes", message, "free a node, add one, or trust the cluster's autoscaler")
    return Finding("pass", "nodes", f"room for {places} pods with {wish} each; {need.replicas} wanted")


def features(found: Sequence[Object]) -> Finding:
    """Instruction sets for INT8, as node-feature-discovery labels them."""
    labels = [node["metadata"].get("labels") or {} for node in found]
    if not any(key.startswith(_FEATURE) for part in labels for key in part):
        return Finding("warn", "cpu features", "no node has labels of node-feature-discovery",
                       "install it to see which nodes have AVX512-VNNI or AMX, and to select them")  # fmt: skip
    for feature in _INT8:
        count = sum(part.get(_FEATURE + feature) == "true" for part in labels)
        if count:
            return Finding("pass", "cpu features", f"{count} of {len(found)} nodes have {feature}")
    return Finding("warn", "cpu features", f"no node has {' or '.join(_INT8)}: INT8 is slower there",
                   "prefer newer nodes (Cascade Lake, Zen 4 or later)")  # fmt: skip


def _usable(node: Object, need: Need) -> bool:
    spec = node.get("spec") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions") or [])
    labels = node["metadata"].get("labels") or {}
    taints = [taint for taint in spec.get("taints") or [] if taint["effect"] in {"NoSchedule", "NoExecute"}]
    tolerated = all(any(_tolerates(toleration, taint) for toleration in need.tolerations) for taint in taints)
    selected = all(labels.get(key) == value for key, value in need.selector.items())
    return ready and not spec.get("unschedulable") and tolerated and selected


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint["key"]}
    return bool(toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def _used(pods: Sequence[Object]) -> Mapping[tuple[str, str], Decimal]:
    used: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for pod in pods:
        node = (pod.get("spec") or {}).get("nodeName")
        if node and (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}:
            for requests in [
                (one.get("resources") or {}).get("requests") for one in pod["spec"].get("containers") or []
            ]:
                for name, value in (requests or {}).items():
                    used[node, name] += quantity(value)
    return used


def _allocatable(node: Object, resource: str) -> Decimal:
    return quantity((node["status"].get("allocatable") or {}).get(resource, 0))


def _show(resource: str, value: Decimal) -> str:
    return f"{value / 2**30:.3g} GiB" if resource == "memory" else f"{value.normalize():f} cores"

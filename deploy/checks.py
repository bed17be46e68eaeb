"""Facts about a cluster -> findings. Each check is a function of literal objects.                            (pure)"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from deploy import manifests
from deploy.manifests import quantity
from deploy.needs import Need
from deploy.types import MANAGER, Finding, Level, Object, Reference, Release


def version(server: str, minimum: str) -> Finding:
    """The server against the chart's `kubeVersion`."""
    if _numbers(server) < _numbers(minimum):
        return Finding("fail", "version", f"the server is {server}; the chart needs {minimum}", "upgrade the cluster")
    return Finding("pass", "version", f"the server is {server}" + (f" (the chart needs {minimum})" if minimum else ""))


def kind(api_version: str, name: str, served: Mapping[str, str], versions: Sequence[str]) -> Finding:
    """One kind that is rendered. `served`: the kinds under this very version; `versions`: those of its group."""
    if name in served:
        return Finding("pass", "kinds", f"{name} is served in {api_version}")
    message, remedy = f"{name} ({api_version}) is not known here", f"install what brings {name}, or switch it off"
    if versions:
        message = f"{name} is not served in {api_version}, only in {', '.join(versions)}"
        remedy = f"upgrade what brings {name} to a version that serves {api_version}"
    return Finding("fail", "kinds", message, remedy)


def namespace(name: str, live: Object | None, *, creates: bool) -> Finding:
    """The namespace of the release: it exists, and is not being deleted."""
    if live is None and creates:
        return Finding("pass", "namespace", f"Namespace/{name} will be created")
    if live is None:
        remedy = f"kubectl create namespace {name}, or give --create-namespace"
        return Finding("fail", "namespace", f"Namespace/{name}, the namespace of the release, is not there", remedy)
    if live["metadata"].get("deletionTimestamp"):
        return Finding("fail", "namespace", f"Namespace/{name} is being deleted", "wait until it is gone")
    return Finding("pass", "namespace", f"Namespace/{name}, the namespace of the release, is there")


def present(what: Reference, why: str, live: Object | None) -> Finding:
    """Something that the manifests name and do not contain."""
    if live is None:
        remedy = f"create it in {what.namespace}, or change the value that names it"
        return Finding("fail", what.kind.lower(), f"{what}, {why}, is not there", remedy)
    return Finding("pass", what.kind.lower(), f"{what}, {why}, is there")


def ingress_class(wanted: str | None, classes: Sequence[Object]) -> Finding:
    """The class of an Ingress; None: the cluster's default."""
    names = [item["metadata"]["name"] for item in classes]
    mark = "ingressclass.kubernetes.io/is-default-class"
    default = any((item["metadata"].get("annotations") or {}).get(mark) == "true" for item in classes)
    if wanted in names or (not wanted and default):
        return Finding("pass", "ingress class", f"IngressClass/{wanted} is there" if wanted else "there is a default")
    what = f"there is no IngressClass/{wanted}" if wanted else "no default ingress class"
    remedy = "set ingress.className to one of these" if names else "install an ingress controller"
    return Finding("fail", "ingress class", f"{what}; there are: {', '.join(names) or 'none'}", remedy)


def access(denied: Sequence[tuple[str, str]], asked: int, namespace: str) -> Finding:
    """The result of SelfSubjectAccessReviews: the (verb, resource) pairs that are not allowed."""
    if not denied:
        return Finding("pass", "permissions", f"all {asked} that are needed in {namespace} are granted")
    by_resource: dict[str, list[str]] = defaultdict(list)
    for verb, resource in denied:
        by_resource[resource].append(verb)
    what = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in by_resource.items())
    remedy = "grant these with a Role (docs/deployer.md has one)"
    return Finding("fail", "permissions", f"you may not {what} in {namespace}", remedy)


def quota(found: Object, wanted: Sequence[Need]) -> Finding:
    """Whether one ResourceQuota has room for all pods; running pods of the same release are counted twice, so if there
    are any, a lack of room is only a warning.
    """
    name = f"ResourceQuota/{found['metadata']['name']}"
    status = found.get("status") or {}
    hard, used = status.get("hard") or found["spec"].get("hard") or {}, status.get("used") or {}
    for key, limit in hard.items():
        ask = sum((_asked(need, key) * need.replicas for need in wanted), Decimal(0))
        room = quantity(limit) - quantity(used.get(key, 0))
        if ask > room:
            level: Level = "fail" if ask > quantity(limit) else "warn"
            message = f"{name} leaves {room.normalize():f} of {key}; the pods need {ask.normalize():f}"
            return Finding(level, "quota", message, "raise the quota, or lower replicas or resources")
    return Finding("pass", "quota", f"{name} has room")


def foreign(live: Iterable[Object], release: Release) -> list[Finding]:
    """Objects of the same name that belong neither to this release nor to the old deployer, and would be
    overwritten."""
    found = []
    for item in live:
        owner, labels = manifests.owner(item), item["metadata"].get("labels") or {}
        ours = labels.get(manifests.MANAGED_BY) == MANAGER and labels.get(manifests.INSTANCE) == release.name
        if owner == release or ours:
            continue
        whose, remedy = "is there and belongs to no Helm release", "delete it, or choose another --name"
        if owner:
            whose = f"belongs to the Helm release {owner.name} in {owner.namespace}"
            remedy = f"`helm uninstall {owner.name}` first, or choose another --name"
        found.append(Finding("fail", "owner", f"{manifests.reference(item)} {whose}", remedy))
    return found


def _asked(need: Need, key: str) -> Decimal:
    if key in {"pods", "count/pods"}:
        return Decimal(1)
    part, _, resource = key.rpartition(".")
    kinds = {"": need.requests, "requests": need.requests, "limits": need.limits}
    return kinds.get(part, {}).get(resource, Decimal(0))


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()

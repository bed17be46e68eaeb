"""Facts about a cluster -> findings. Each check is a function of literal objects.                            (pure)"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from deploy import manifests
from deploy.manifests import quantity
from deploy.needs import Need
from deploy.types import Finding, Level, Object, Reference


def version(server: str, minimum: str | None) -> Finding:
    """The server against the chart's `kubeVersion`."""
    have, want = _numbers(server), _numbers(minimum or "")
    if have < want:
        return Finding("fail", "version", f"the server is {server}; the chart needs {minimum}", "upgrade the cluster")
    return Finding("pass", "version", f"the server is {server}" + (f" (the chart needs {minimum})" if minimum else ""))


def kind(api_version: str, name: str, served: Mapping[str, str], versions: Sequence[str]) -> Finding:
    """One kind that is rendered. `served`: the kinds under this very version; `versions`: those of its group."""
    if name in served:
        return Finding("pass", "kinds", f"{name} is served in {api_version}")
    if versions:
        return Finding("fail", "kinds", f"{name} is not served in {api_version}, only in {', '.join(versions)}",
                       f"upgrade what brings {name} to a version that serves {api_version}")  # fmt: skip
    return Finding("fail", "kinds", f"{name} ({api_version}) is not known here",
                   f"install what brings {name}, or switch it off in the values")  # fmt: skip


def present(what: Reference, why: str, live: Object | None, remedy: str) -> Finding:
    """Something that the manifests name and do not bring."""
    if live is None:
        return Finding("fail", what.kind.lower(), f"{what}, {why}, is not there", remedy)
    return Finding("pass", what.kind.lower(), f"{what}, {why}, is there")


def ingress_class(wanted: str | None, classes: Sequence[Object]) -> Finding:
    """The class of an Ingress; None: the cluster's default."""
    names = [item["metadata"]["name"] for item in classes]
    listed = f"there are: {', '.join(names) or 'none'}"
    if wanted:
        if wanted in names:
            return Finding("pass", "ingress class", f"IngressClass/{wanted} is there")
        remedy = "set ingress.className to one of these" if names else "install an ingress controller"
        return Finding("fail", "ingress class", f"there is no IngressClass/{wanted}; {listed}", remedy)
    mark = "ingressclass.kubernetes.io/is-default-class"
    if any((item["metadata"].get("annotations") or {}).get(mark) == "true" for item in classes):
        return Finding("pass", "ingress class", "the cluster has a default ingress class")
    return Finding("fail", "ingress class", f"no default ingress class; {listed}", "set ingress.className")


def access(denied: Sequence[tuple[str, str]], asked: int, namespace: str) -> Finding:
    """What SelfSubjectAccessReviews said: the (verb, resource) pairs that are not allowed."""
    if not denied:
        return Finding("pass", "permissions", f"all {asked} that are needed in {namespace} are granted")
    by_resource: dict[str, list[str]] = defaultdict(list)
    for verb, resource in denied:
        by_resource[resource].append(verb)
    what = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in by_resource.items())
    return Finding("fail", "permissions", f"you may not {what} in {namespace}",
                   "grant these with a Role (docs/deployer.md has one)")  # fmt: skip


def quota(found: Object, wanted: Sequence[Need]) -> Finding:
    """Whether one ResourceQuota has room for all pods; what runs already of the same release is counted twice, so that
    a lack of room is a warning where something runs.
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


def foreign(live: Sequence[Object]) -> list[Finding]:
    """Objects of the same name that Helm installed: two masters make a mess."""
    mark = "meta.helm.sh/release-name"
    found = [(manifests.reference(item), (item["metadata"].get("annotations") or {}).get(mark)) for item in live]
    return [Finding("fail", "owner", f"{name} belongs to the Helm release {owner}",
                    f"go on with `helm upgrade {owner}`, or `helm uninstall {owner}` first, or choose another --name")
            for name, owner in found if owner]  # fmt: skip


def _asked(need: Need, key: str) -> Decimal:
    if key in {"pods", "count/pods"}:
        return Decimal(1)
    part, _, resource = key.rpartition(".")
    kinds = {"": need.requests, "requests": need.requests, "limits": need.limits}
    return kinds.get(part, {}).get(resource, Decimal(0))


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()

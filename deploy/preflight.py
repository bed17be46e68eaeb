"""Checks whether a cluster can take a release. Reads only; a fact that the account may not read is a warning."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploy import manifests, needs
from deploy.errors import Forbidden
from deploy.types import MANAGER, Finding, Object, Reference, Release

if TYPE_CHECKING:
    from deploy.cluster import Cluster

VERBS = ("get", "list", "create", "patch", "delete")
# Permissions of an apply besides those on its objects: for Helm's records, and for reading pods. (verb, group,
# resource)
OWN = (
    *((verb, "", "secrets") for verb in (*VERBS, "update")),
    *(("list", "", "pods"), ("get", "", "pods/log"), ("list", "", "events")),
    *(("list", "apps", "replicasets"), ("list", "apps", "deployments")),
)
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


@dataclass(frozen=True)
class Plan:
    """What would be applied where. `ignored` names checks whose failures are warnings."""

    release: Release
    objects: Sequence[Object]
    minimum: str
    creates_namespace: bool
    ignored: Sequence[str]


Check = Callable[["Cluster", Plan], Iterator[Finding]]


def examine(cluster: Cluster, plan: Plan) -> list[Finding]:
    """All findings, in the order in which they matter. Raises ClusterError if the cluster cannot be reached at all."""
    cluster.served()
    space = plan.release.namespace
    checks: list[tuple[str, str, Check]] = [
        ("version", "get /version", lambda c, p: iter([version(c.version(), p.minimum)])),
        ("namespace", "get namespaces", _namespace),
        ("kinds", "", _kinds),
        ("nodes", "list nodes", _nodes),
        ("permissions", "create selfsubjectaccessreviews", _access),
        ("references", "get what pods refer to", _references),
        ("quota", f"list resourcequotas in {space}", _quotas),
        ("owner", f"get what is in {space}", _owners),
        ("ingress class", "list ingressclasses", _classes),
    ]

    def findings(check: tuple[str, str, Check]) -> list[Finding]:
        name, grant, find = check
        try:
            return list(find(cluster, plan))
        except Forbidden as error:
            return [Finding("warn", name, f"not checked: {error.message.split(';')[0]}", f"grant: {grant}")]

    found = [finding for part in cluster.each(findings, checks) for finding in part]
    return [replace(f, status="warn") if f.status == "fail" and f.check in plan.ignored else f for f in found]


def failures(found: Sequence[Finding]) -> list[str]:
    """The failed checks, each with its remedy."""
    return [f"{finding.message} ({finding.remedy})" for finding in found if finding.status == "fail"]


def version(server: str, minimum: str) -> Finding:
    """The server against the chart's `kubeVersion`.                                                        (pure)"""
    if _numbers(server) < _numbers(minimum):
        return Finding("fail", "version", f"the server is {server}; the chart needs {minimum}", "upgrade the cluster")
    return Finding("pass", "version", f"the server is {server}" + (f" (the chart needs {minimum})" if minimum else ""))


def kind(api_version: str, name: str, served: Mapping[str, str], versions: Sequence[str]) -> Finding:
    """One kind that is rendered. `served`: the kinds under this very version; `versions`: those of its group. (pure)"""
    if name in served:
        return Finding("pass", "kinds", f"{name} is served in {api_version}")
    message, remedy = f"{name} ({api_version}) is not known here", f"install what brings {name}, or switch it off"
    if versions:
        message = f"{name} is not served in {api_version}, only in {', '.join(versions)}"
        remedy = f"upgrade what brings {name} to a version that serves {api_version}"
    return Finding("fail", "kinds", message, remedy)


def _namespace(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    name = plan.release.namespace
    one, live = f"Namespace/{name}", cluster.get(Reference("v1", "Namespace", "", name))
    if live and live["metadata"].get("deletionTimestamp"):
        yield Finding("fail", "namespace", f"{one} is being deleted", "wait until it is gone")
    elif live:
        yield Finding("pass", "namespace", f"{one}, the namespace of the release, is there")
    elif plan.creates_namespace:
        yield Finding("pass", "namespace", f"{one} will be created")
    else:
        remedy = f"kubectl create namespace {name}, or give --create-namespace"
        yield Finding("fail", "namespace", f"{one}, the namespace of the release, is not there", remedy)


def _kinds(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    for one in sorted({(item["apiVersion"], item["kind"]) for item in plan.objects}):
        yield kind(*one, cluster.kinds(one[0]), cluster.versions(one[0].rpartition("/")[0]))


def _nodes(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    if wanted := needs.needs(plan.objects):
        nodes, pods = cluster.find("v1", "Node"), None
        with suppress(Forbidden):
            pods = cluster.find("v1", "Pod")
        yield from (needs.room(need, nodes, pods) for need in wanted)
        yield needs.features(nodes)


def _references(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    for one, use in needs.references(plan.objects).items():
        check = one.kind.lower()
        try:
            if cluster.get(one):
                yield Finding("pass", check, f"{one}, {use}, is there")
            else:
                remedy = f"create it in {one.namespace}, or change the value that names it"
                yield Finding("fail", check, f"{one}, {use}, is not there", remedy)
        except Forbidden:
            yield Finding("warn", check, f"{one}, {use}, is not visible", f"grant: get {one.kind}")


def _quotas(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    for quota in cluster.find("v1", "ResourceQuota", plan.release.namespace):
        yield needs.quota(quota, needs.needs(plan.objects))


def _owners(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    """Objects of the same name that belong neither to this release nor to the old deployer: Helm would refuse them."""
    for item in filter(None, cluster.each(lambda item: cluster.get(manifests.reference(item)), plan.objects)):
        owner, labels = manifests.owner(item), item["metadata"].get("labels") or {}
        ours = labels.get(manifests.MANAGED_BY) == MANAGER and labels.get(manifests.INSTANCE) == plan.release.name
        if owner and owner != plan.release:
            whose = f"belongs to the Helm release {owner.name} in {owner.namespace}"
            remedy = f"`helm uninstall {owner.name}` first, or choose another --name"
            yield Finding("fail", "owner", f"{manifests.reference(item)} {whose}", remedy)
        elif not (owner or ours):
            message = f"{manifests.reference(item)} is there and belongs to no Helm release"
            yield Finding("fail", "owner", message, "delete it, or choose another --name")


def _classes(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    for item in plan.objects:
        if item["kind"] != "Ingress":
            continue
        wanted = item["spec"].get("ingressClassName")
        classes = [entry["metadata"] for entry in cluster.find("networking.k8s.io/v1", "IngressClass")]
        names = [entry["name"] for entry in classes]
        default = any((entry.get("annotations") or {}).get(_DEFAULT_CLASS) == "true" for entry in classes)
        if wanted in names or (not wanted and default):
            there = f"IngressClass/{wanted} is there" if wanted else "there is a default"
            yield Finding("pass", "ingress class", there)
        else:
            what = f"there is no IngressClass/{wanted}" if wanted else "no default ingress class"
            remedy = "set ingress.className to one of these" if names else "install an ingress controller"
            yield Finding("fail", "ingress class", f"{what}; there are: {', '.join(names) or 'none'}", remedy)


def _access(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    asked, space = set(OWN), plan.release.namespace
    for one in map(manifests.reference, plan.objects):
        if resource := cluster.kinds(one.api_version).get(one.kind):
            asked |= {(verb, one.group, resource) for verb in VERBS if verb != "list"}

    def allowed(wanted: tuple[str, str, str]) -> bool:
        verb, group, resource = wanted
        name, _, sub = resource.partition("/")
        attributes = {"namespace": space, "verb": verb, "group": group, "resource": name, "subresource": sub}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        answer = cluster.create({**review, "spec": {"resourceAttributes": attributes}})
        return bool(answer.get("status", {}).get("allowed"))

    denied: dict[str, list[str]] = defaultdict(list)
    order = sorted(asked)
    for (verb, group, resource), granted in zip(order, cluster.each(allowed, order), strict=True):
        if not granted:
            denied[f"{resource}.{group}" if group else resource].append(verb)
    if denied:
        what = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in denied.items())
        remedy = "grant these with a Role (docs/deployer.md has one)"
        yield Finding("fail", "permissions", f"you may not {what} in {space}", remedy)
    else:
        yield Finding("pass", "permissions", f"all {len(order)} that are needed in {space} are granted")


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()

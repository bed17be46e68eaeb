"""Queries a cluster for the checks. Reads only; a fact that the account may not read is a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploy import checks, manifests, needs, nodes
from deploy.errors import Forbidden
from deploy.types import Finding, Object, Reference, Release

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


@dataclass(frozen=True)
class Plan:
    """What would be applied where. `ignored` names checks whose failures are warnings."""

    release: Release
    objects: Sequence[Object]
    minimum: str = ""
    creates_namespace: bool = False
    ignored: Sequence[str] = ()


def examine(cluster: Cluster, plan: Plan) -> list[Finding]:
    """All findings, in the order in which they matter. Raises ClusterError if the cluster cannot be reached at all."""
    cluster.served()
    space = plan.release.namespace
    gathered: list[tuple[str, str, Callable[[Cluster, Plan], Iterator[Finding]]]] = [
        ("version", "get /version", lambda c, p: iter([checks.version(c.version(), p.minimum)])),
        ("namespace", "get namespaces", _namespace),
        ("kinds", "", _kinds),
        ("nodes", "list nodes", _nodes),
        ("permissions", "create selfsubjectaccessreviews", _access),
        ("references", "get what pods refer to", _references),
        ("quota", f"list resourcequotas in {space}", _quotas),
        ("owner", f"get what is in {space}", _foreign),
        ("ingress class", "list ingressclasses", _classes),
    ]

    def gather(one: tuple[str, str, Callable[[Cluster, Plan], Iterator[Finding]]]) -> list[Finding]:
        try:
            return list(one[2](cluster, plan))
        except Forbidden as error:
            return [Finding("warn", one[0], f"not checked: {error.message.split(';')[0]}", f"grant: {one[1]}")]

    found = [finding for part in cluster.each(gather, gathered) for finding in part]
    return [replace(f, status="warn") if f.status == "fail" and f.check in plan.ignored else f for f in found]


def failures(found: Sequence[Finding]) -> list[str]:
    """The failed checks, each with its remedy."""
    return [f"{finding.message} ({finding.remedy})" for finding in found if finding.status == "fail"]


def _namespace(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    live = cluster.get(Reference("v1", "Namespace", "", plan.release.namespace))
    yield checks.namespace(plan.release.namespace, live, creates=plan.creates_namespace)


def _kinds(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    for version, kind in sorted({(item["apiVersion"], item["kind"]) for item in plan.objects}):
        yield checks.kind(version, kind, cluster.kinds(version), cluster.versions(version.rpartition("/")[0]))


def _nodes(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    wanted = needs.needs(plan.objects)
    if not wanted:
        return
    found = cluster.find("v1", "Node")
    pods: list[Object] | None = None
    with suppress(Forbidden):
        pods = cluster.find("v1", "Pod")
    yield from (nodes.room(need, found, pods) for need in wanted)
    yield nodes.features(found)


def _references(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    for reference, use in needs.references(plan.objects):
        try:
            yield checks.present(reference, use, cluster.get(reference))
        except Forbidden:
            remedy = f"grant: get {reference.kind}"
            yield Finding("warn", reference.kind.lower(), f"{reference}, {use}, is not visible", remedy)


def _quotas(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    for quota in cluster.find("v1", "ResourceQuota", plan.release.namespace):
        yield checks.quota(quota, needs.needs(plan.objects))


def _foreign(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    live = cluster.each(lambda item: cluster.get(manifests.reference(item)), plan.objects)
    yield from checks.foreign([item for item in live if item], plan.release)


def _classes(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    for item in plan.objects:
        if item["kind"] == "Ingress":
            classes = cluster.find("networking.k8s.io/v1", "IngressClass")
            yield checks.ingress_class(item["spec"].get("ingressClassName"), classes)


def _access(cluster: Cluster, plan: Plan) -> Iterator[Finding]:
    asked = set(OWN)
    for item in plan.objects:
        if resource := cluster.kinds(item["apiVersion"]).get(item["kind"]):
            asked |= {(verb, item["apiVersion"].rpartition("/")[0], resource) for verb in VERBS if verb != "list"}

    def allowed(wanted: tuple[str, str, str]) -> bool:
        verb, group, resource = wanted
        name, _, sub = resource.partition("/")
        space = plan.release.namespace
        attributes = {"namespace": space, "verb": verb, "group": group, "resource": name, "subresource": sub}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        answer = cluster.create({**review, "spec": {"resourceAttributes": attributes}})
        return bool(answer.get("status", {}).get("allowed"))

    order = sorted(asked)
    denied = [
        (verb, f"{resource}.{group}" if group else resource)
        for (verb, group, resource), granted in zip(order, cluster.each(allowed, order), strict=True) if not granted
    ]  # fmt: skip
    yield checks.access(denied, len(order), plan.release.namespace)

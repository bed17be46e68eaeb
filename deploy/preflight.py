"""Ask a cluster what the checks need to know. Only reads; a fact that we may not see is a warning, not an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from deploy import checks, manifests, needs, nodes
from deploy.errors import ClusterError, Forbidden
from deploy.needs import Need
from deploy.types import Cluster, Finding, Object, Reference, Release

VERBS = ("get", "list", "create", "patch", "delete")
# What the deployer does besides applying: (verb, group, resource).
OWN = (
    *((verb, "", "secrets") for verb in ("get", "list", "create", "patch", "delete")),
    *(("list", "", "pods"), ("watch", "", "pods"), ("get", "", "pods/log"), ("create", "", "pods/portforward")),
    *(("list", "", "events"), ("list", "apps", "replicasets")),
)


def examine(
    cluster: Cluster,
    release: Release,
    objects: Sequence[Object],
    minimum: str | None,
    *,
    creates_namespace: bool = False,
) -> list[Finding]:
    """All findings, in the order in which they matter. Raises ClusterError if the cluster cannot be reached at all."""
    found = [checks.version(cluster.version(), minimum)]
    found += _asked("namespace", "get namespaces", lambda: _namespace(cluster, release))
    missing = found[-1].status == "fail"
    if missing and creates_namespace:
        found[-1] = Finding("pass", "namespace", f"Namespace/{release.namespace} will be created")
    pairs = sorted({(item["apiVersion"], item["kind"]) for item in objects})
    for version, kind in pairs:
        group = version.rpartition("/")[0]
        found.append(checks.kind(version, kind, cluster.kinds(version), cluster.versions(group)))
    wanted = needs.needs(objects)
    found += _asked("nodes", "list nodes", lambda: _nodes(cluster, wanted))
    found += _asked("permissions", "create selfsubjectaccessreviews", lambda: iter([_access(cluster, release, pairs)]))
    if not missing:
        found += _asked("references", "get what pods refer to", lambda: _references(cluster, objects))
        found += _asked("quota", "list resourcequotas", lambda: _quotas(cluster, release, wanted))
        found += _asked("owner", "get what is there", lambda: _foreign(cluster, objects))
    found += _asked("ingress class", "list ingressclasses", lambda: _classes(cluster, objects))
    return found


def failures(found: Sequence[Finding]) -> list[str]:
    """The failed checks, each with its remedy."""
    return [f"{finding.message} ({finding.remedy})" for finding in found if finding.status == "fail"]


def _asked(check: str, what: str, gather: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(gather())
    except Forbidden as error:
        return [Finding("warn", check, f"not checked: {error.message.split(';')[0]}", f"grant: {what}")]


def _namespace(cluster: Cluster, release: Release) -> Iterator[Finding]:
    space = Reference("v1", "Namespace", "", release.namespace)
    remedy = f"kubectl create namespace {release.namespace}, or give --create-namespace"
    yield checks.present(space, "the namespace of the release", cluster.get(space), remedy)


def _nodes(cluster: Cluster, wanted: Sequence[Need]) -> Iterator[Finding]:
    if not wanted:
        return
    found = cluster.find("v1", "Node")
    pods: list[Object] | None = None
    with suppress(Forbidden):
        pods = cluster.find("v1", "Pod")
    yield from (nodes.room(need, found, pods) for need in wanted)
    yield nodes.features(found)


def _references(cluster: Cluster, objects: Sequence[Object]) -> Iterator[Finding]:
    for reference, use in needs.references(objects):
        try:
            live = cluster.get(reference)
        except Forbidden:
            yield Finding(
                "warn", reference.kind.lower(), f"{reference}, {use}, is not visible", f"grant: get {reference.kind}"
            )
            continue
        yield checks.present(
            reference, use, live, f"create it in {reference.namespace}, or change the value that names it"
        )


def _quotas(cluster: Cluster, release: Release, wanted: Sequence[Need]) -> Iterator[Finding]:
    for quota in cluster.find("v1", "ResourceQuota", release.namespace):
        yield checks.quota(quota, wanted)


def _foreign(cluster: Cluster, objects: Sequence[Object]) -> Iterator[Finding]:
    live = []
    for item in objects:
        if item["kind"] in cluster.kinds(item["apiVersion"]) and item["kind"] != "Namespace":
            live.append(cluster.get(manifests.reference(item)))
    yield from checks.foreign([item for item in live if item])


def _classes(cluster: Cluster, objects: Sequence[Object]) -> Iterator[Finding]:
    for item in objects:
        if item["kind"] == "Ingress":
            classes = cluster.find("networking.k8s.io/v1", "IngressClass")
            yield checks.ingress_class(item["spec"].get("ingressClassName"), classes)


def _access(cluster: Cluster, release: Release, pairs: Sequence[tuple[str, str]]) -> Finding:
    asked = set(OWN)
    for version, kind in pairs:
        resource = cluster.kinds(version).get(kind)
        if resource and kind != "Namespace":
            asked |= {(verb, version.rpartition("/")[0], resource) for verb in VERBS}
    denied = [
        (verb, f"{resource}.{group}" if group else resource)
        for verb, group, resource in sorted(asked)
        if not _allowed(cluster, release, verb, group, resource)
    ]
    return checks.access(denied, len(asked), release.namespace)


def _allowed(cluster: Cluster, release: Release, verb: str, group: str, resource: str) -> bool:
    name, _, sub = resource.partition("/")
    attributes = {"namespace": release.namespace, "verb": verb, "group": group, "resource": name, "subresource": sub}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = cluster.create(review)
    if "status" not in answer:
        raise ClusterError("the cluster does not answer a SelfSubjectAccessReview")
    return bool(answer["status"].get("allowed"))

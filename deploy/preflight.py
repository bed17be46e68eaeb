"""Checks whether a cluster can take a release. Reads only; a fact that the account may not read is a warning."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploy import manifests, needs
from deploy.errors import Forbidden
from deploy.render import Rendered
from deploy.types import MANAGER, Finding, Reference, Release

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
class Preflight:
    """What would be applied where. `creates`: the namespace may be missing."""

    cluster: Cluster
    release: Release
    rendered: Rendered
    creates: bool

    def findings(self, ignored: Sequence[str] = ()) -> list[Finding]:
        """All findings, in the order in which they matter; failures of the `ignored` checks are warnings.

        Raises ClusterError if the cluster cannot be reached at all.
        """
        self.cluster.served()
        checks = [
            ("version", "get /version", self._version),
            ("namespace", "get namespaces", self._namespace),
            ("kinds", "", self._kinds),
            ("nodes", "list nodes", self._nodes),
            ("permissions", "create selfsubjectaccessreviews", self._access),
            ("references", "get what pods refer to", self._references),
            ("quota", f"list resourcequotas in {self.release.namespace}", self._quotas),
            ("owner", f"get what is in {self.release.namespace}", self._owners),
            ("ingress class", "list ingressclasses", self._classes),
        ]

        def made(check: tuple[str, str, Callable[[], Iterator[Finding]]]) -> list[Finding]:
            name, grant, find = check
            try:
                return list(find())
            except Forbidden as error:
                return [Finding("warn", name, f"not checked: {error.message.split(';')[0]}", f"grant: {grant}")]

        found = [finding for part in self.cluster.each(made, checks) for finding in part]
        return [replace(f, status="warn") if f.status == "fail" and f.check in ignored else f for f in found]

    def _version(self) -> Iterator[Finding]:
        yield version(self.cluster.version(), self.rendered.minimum)

    def _namespace(self) -> Iterator[Finding]:
        name = self.release.namespace
        one, live = f"Namespace/{name}", self.cluster.get(Reference("v1", "Namespace", "", name))
        if live and live["metadata"].get("deletionTimestamp"):
            yield Finding("fail", "namespace", f"{one} is being deleted", "wait until it is gone")
        elif live:
            yield Finding("pass", "namespace", f"{one}, the namespace of the release, is there")
        elif self.creates:
            yield Finding("pass", "namespace", f"{one} will be created")
        else:
            remedy = f"kubectl create namespace {name}, or give --create-namespace"
            yield Finding("fail", "namespace", f"{one}, the namespace of the release, is not there", remedy)

    def _kinds(self) -> Iterator[Finding]:
        served = self.cluster.served()
        for wanted, kind in sorted({(item["apiVersion"], item["kind"]) for item in self.rendered.objects}):
            splits = [one.rpartition("/") for one in served]
            versions = [version for group, _, version in splits if group == wanted.rpartition("/")[0]]
            if kind in served.get(wanted, {}):
                yield Finding("pass", "kinds", f"{kind} is served in {wanted}")
            elif versions:
                message = f"{kind} is not served in {wanted}, only in {', '.join(versions)}"
                remedy = f"upgrade what brings {kind} to a version that serves {wanted}"
                yield Finding("fail", "kinds", message, remedy)
            else:
                remedy = f"install what brings {kind}, or switch it off"
                yield Finding("fail", "kinds", f"{kind} ({wanted}) is not known here", remedy)

    def _nodes(self) -> Iterator[Finding]:
        if wanted := needs.needs(self.rendered.objects):
            nodes, pods = self.cluster.find("v1", "Node"), None
            with suppress(Forbidden):
                pods = self.cluster.find("v1", "Pod")
            yield from (needs.room(need, nodes, pods) for need in wanted)
            yield needs.features(nodes)

    def _references(self) -> Iterator[Finding]:
        for one, use in needs.references(self.rendered.objects).items():
            check = one.kind.lower()
            try:
                if self.cluster.get(one):
                    yield Finding("pass", check, f"{one}, {use}, is there")
                else:
                    remedy = f"create it in {one.namespace}, or change the value that names it"
                    yield Finding("fail", check, f"{one}, {use}, is not there", remedy)
            except Forbidden:
                yield Finding("warn", check, f"{one}, {use}, is not visible", f"grant: get {one.kind}")

    def _quotas(self) -> Iterator[Finding]:
        for quota in self.cluster.find("v1", "ResourceQuota", self.release.namespace):
            yield needs.quota(quota, needs.needs(self.rendered.objects))

    def _owners(self) -> Iterator[Finding]:
        """Helm refuses objects of the same name that are not this release's; the old deployer's are taken over."""
        for one, item in self.cluster.live(self.rendered.objects).items():
            if item is None:
                continue
            owner, labels = manifests.owner(item), item["metadata"].get("labels") or {}
            ours = labels.get(manifests.MANAGED_BY) == MANAGER and labels.get(manifests.INSTANCE) == self.release.name
            if owner and owner != self.release:
                whose = f"belongs to the Helm release {owner.name} in {owner.namespace}"
                remedy = f"`helm uninstall {owner.name}` first, or choose another --name"
                yield Finding("fail", "owner", f"{one} {whose}", remedy)
            elif not (owner or ours):
                message = f"{one} is there and belongs to no Helm release"
                yield Finding("fail", "owner", message, "delete it, or choose another --name")

    def _classes(self) -> Iterator[Finding]:
        for item in self.rendered.objects:
            if item["kind"] != "Ingress":
                continue
            wanted = item["spec"].get("ingressClassName")
            classes = [entry["metadata"] for entry in self.cluster.find("networking.k8s.io/v1", "IngressClass")]
            names = [entry["name"] for entry in classes]
            default = any((entry.get("annotations") or {}).get(_DEFAULT_CLASS) == "true" for entry in classes)
            if wanted in names or (not wanted and default):
                there = f"IngressClass/{wanted} is there" if wanted else "there is a default"
                yield Finding("pass", "ingress class", there)
            else:
                what = f"there is no IngressClass/{wanted}" if wanted else "no default ingress class"
                remedy = "set ingress.className to one of these" if names else "install an ingress controller"
                yield Finding("fail", "ingress class", f"{what}; there are: {', '.join(names) or 'none'}", remedy)

    def _access(self) -> Iterator[Finding]:
        asked, space = set(OWN), self.release.namespace
        for one in map(manifests.reference, self.rendered.objects):
            if entry := self.cluster.served().get(one.api_version, {}).get(one.kind):
                asked |= {(verb, one.group, entry["resource"]) for verb in VERBS if verb != "list"}

        def allowed(wanted: tuple[str, str, str]) -> bool:
            verb, group, resource = wanted
            name, _, sub = resource.partition("/")
            attributes = {"namespace": space, "verb": verb, "group": group, "resource": name, "subresource": sub}
            review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
            answer = self.cluster.create({**review, "spec": {"resourceAttributes": attributes}})
            return bool(answer.get("status", {}).get("allowed"))

        denied: dict[str, list[str]] = defaultdict(list)
        order = sorted(asked)
        for (verb, group, resource), granted in zip(order, self.cluster.each(allowed, order), strict=True):
            if not granted:
                denied[f"{resource}.{group}" if group else resource].append(verb)
        if denied:
            what = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in denied.items())
            remedy = "grant these with a Role (docs/deployer.md has one)"
            yield Finding("fail", "permissions", f"you may not {what} in {space}", remedy)
        else:
            yield Finding("pass", "permissions", f"all {len(order)} that are needed in {space} are granted")


def failures(found: Sequence[Finding]) -> list[str]:
    """The failed checks, each with its remedy."""
    return [f"{finding.message} ({finding.remedy})" for finding in found if finding.status == "fail"]


def version(server: str, minimum: str) -> Finding:
    """The server against the chart's `kubeVersion`.                                                        (pure)"""
    if _numbers(server) < _numbers(minimum):
        return Finding("fail", "version", f"the server is {server}; the chart needs {minimum}", "upgrade the cluster")
    return Finding("pass", "version", f"the server is {server}" + (f" (the chart needs {minimum})" if minimum else ""))


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()

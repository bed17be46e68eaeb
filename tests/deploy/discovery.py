"""What an API server tells of itself: version, groups, kinds in one answer or group by group, OpenAPI for Helm."""

from __future__ import annotations

from typing import Any

from tests.deploy.wire import Refused, Request

Object = dict[str, Any]
# group/version -> [(kind, plural, namespaced)]
Served = dict[str, list[tuple[str, str, bool]]]


def answer(served: Served, git_version: str, request: Request) -> Object | None:
    """The answer, or None if something else was asked for. Raises Refused."""
    parts = request.path.strip("/").split("/")
    if parts == ["version"]:
        return {"major": "1", "minor": git_version.split(".")[1], "gitVersion": git_version}
    if parts[:2] == ["openapi", "v3"]:
        return _openapi(served, git_version, "/".join(parts[2:]))
    if request.aggregated and parts in (["api"], ["apis"]):
        groups = sorted({version.rpartition("/")[0] for version in served})
        items = [_aggregated(served, group) for group in groups if bool(group) == (parts == ["apis"])]
        return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"]}
    if parts == ["apis"]:
        groups = sorted({version.rpartition("/")[0] for version in served if "/" in version})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(served, group) for group in groups]}
    if parts[0] == "apis" and len(parts) == 2:
        return _group(served, parts[1])
    if len(parts) == (2 if parts[0] == "api" else 3):
        return _discovery(served, "/".join(parts[1:]))
    return None


def _openapi(served: Served, git_version: str, path: str) -> Object:
    """Helm asks whether a kind's PATCH knows `fieldValidation`."""
    if not path:
        roots = [f"apis/{version}" if "/" in version else f"api/{version}" for version in served]
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash=1"} for root in roots}}
    group_version = path.partition("/")[2]
    group, _, version = group_version.rpartition("/")
    paths = {}
    for kind, plural, namespaced in served.get(group_version, []):
        patch = {
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
            "parameters": [{"name": "fieldValidation", "in": "query"}, {"name": "dryRun", "in": "query"}],
        }
        space = "namespaces/{namespace}/" if namespaced else ""
        paths[f"/{path}/{space}{plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": git_version}, "paths": paths}


def _aggregated(kinds_of: Served, group: str) -> Object:
    versions = []
    for name, kinds in kinds_of.items():
        if name.rpartition("/")[0] == group:
            resources = [
                {"resource": plural, "responseKind": {"group": "", "version": "", "kind": kind},
                 "scope": "Namespaced" if namespaced else "Cluster", "singularResource": kind.lower(),
                 "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]}
                for kind, plural, namespaced in kinds
            ]  # fmt: skip
            versions.append({"version": name.rpartition("/")[2], "resources": resources, "freshness": "Current"})
    return {"metadata": {"name": group}, "versions": versions}


def _group(served: Served, group: str) -> Object:
    versions = [{"version": v.split("/")[1], "groupVersion": v} for v in served if v.startswith(group + "/")]
    if not versions:
        raise Refused(404, "NotFound", "the server could not find the requested resource")
    return {"kind": "APIGroup", "name": group, "versions": versions, "preferredVersion": versions[0]}


def _discovery(served: Served, api_version: str) -> Object:
    if api_version not in served:
        raise Refused(404, "NotFound", "the server could not find the requested resource")
    resources = [{"name": plural, "kind": kind, "namespaced": n} for kind, plural, n in served[api_version]]
    resources += [{**entry, "name": f"{entry['name']}/status"} for entry in resources]
    return {"kind": "APIResourceList", "groupVersion": api_version, "resources": resources}

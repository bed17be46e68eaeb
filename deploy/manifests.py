"""Objects as data: parse, check, name, order, and make them ours.                                            (pure)"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

import yaml

from deploy.errors import RenderError
from deploy.types import MANAGER, Object, Reference, Release

MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
HOOK = "helm.sh/hook"
# What others refer to comes first; what acts on others, custom resources among them, last.
ORDER = (
    *("Namespace", "PriorityClass", "ResourceQuota", "LimitRange", "NetworkPolicy", "PodDisruptionBudget"),
    *("ServiceAccount", "Secret", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim"),
    *("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "Deployment", "StatefulSet", "Job"),
    *("HorizontalPodAutoscaler", "IngressClass", "Ingress"),
    *("ClusterServingRuntime", "ServingRuntime"),
)
_CLUSTER_SCOPED = {
    *("Namespace", "PriorityClass", "StorageClass", "PersistentVolume", "ClusterRole", "ClusterRoleBinding"),
    *("IngressClass", "CustomResourceDefinition", "ClusterServingRuntime", "ClusterStorageContainer"),
}
_SUFFIXES = {
    **{"": Decimal(1), "m": Decimal("0.001"), "u": Decimal("0.000001"), "n": Decimal("0.000000001")},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}


def parse(text: str, source: str) -> list[Object]:
    """The objects of a YAML stream, `List`s unpacked. Raises RenderError."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise RenderError(f"{source} is not YAML: {_line(error)}") from None
    found = []
    for document in documents:
        items = (
            document.get("items", []) if isinstance(document, dict) and document.get("kind") == "List" else [document]
        )
        for item in items:
            named = isinstance(item, dict) and item.get("apiVersion") and item.get("kind")
            if not named or not item.get("metadata", {}).get("name"):
                raise RenderError(f"{source} holds something without apiVersion, kind or metadata.name")
            found.append(item)
    return found


def dump(objects: Iterable[Object]) -> str:
    """A YAML stream that `kubectl apply -f -` takes."""
    return yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True, width=120, allow_unicode=True)


def reference(manifest: Object) -> Reference:
    """Which object a manifest describes."""
    metadata = manifest["metadata"]
    return Reference(manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def ordered(objects: Iterable[Object]) -> list[Object]:
    """In dependency order; kinds that we do not know, which are custom resources, last."""
    rank = {kind: place for place, kind in enumerate(ORDER)}
    return sorted(objects, key=lambda item: rank.get(item["kind"], len(rank)))


def plain(objects: Iterable[Object], release: Release) -> list[Object]:
    """What is left without Helm: no hooks, none of its labels and annotations; in its namespace, and ours."""
    found = []
    for item in copy.deepcopy(list(objects)):
        if HOOK in (item["metadata"].get("annotations") or {}):
            continue
        metadata = item["metadata"]
        if item["kind"] not in _CLUSTER_SCOPED:
            metadata.setdefault("namespace", release.namespace)
        for part in _metadata(item):
            for field in ("labels", "annotations"):
                kept = {key: value for key, value in (part.get(field) or {}).items() if not key.startswith("helm.sh/")}
                if kept.get(MANAGED_BY):
                    kept[MANAGED_BY] = MANAGER
                part[field] = kept
                if not kept:
                    del part[field]
        metadata["labels"] = {**metadata.get("labels", {}), INSTANCE: release.name, MANAGED_BY: MANAGER}
        found.append(item)
    return ordered(found)


def ours(live: Object, release: Release) -> bool:
    """Whether an object in the cluster was applied by us for this release: no other is ever deleted."""
    labels = live["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY) == MANAGER and labels.get(INSTANCE) == release.name


def check(objects: Iterable[Object]) -> None:
    """Refuse what the API server would take and nobody can mean. Raises RenderError."""
    seen: set[Reference] = set()
    for item in objects:
        name = reference(item)
        if name in seen:
            raise RenderError(f"{name} is rendered twice")
        seen.add(name)
        if item["kind"] == "Deployment" and item.get("spec", {}).get("replicas") == 0:
            raise RenderError(f"{name}: 0 replicas serve nobody; set replicas to 1 or more, or use `delete`")
        for container in containers(item):
            resources = container.get("resources") or {}
            limits = resources.get("limits") or {}
            for resource, request in (resources.get("requests") or {}).items():
                limit = limits.get(resource)
                if limit is not None and quantity(limit) < quantity(request):
                    raise RenderError(
                        f"{name}: container {container['name']} requests {request} of {resource}, over its limit of"
                        f" {limit}; raise resources.limits.{resource} or lower resources.requests.{resource}"
                    )


def pod_spec(manifest: Object) -> Object | None:
    """The pod that a workload makes: a Deployment's or Job's template, a ServingRuntime's or InferenceService's own."""
    spec = manifest.get("spec") or {}
    match manifest["kind"]:
        case "Deployment" | "StatefulSet" | "Job" | "DaemonSet":
            found: Object = spec["template"]["spec"]
            return found
        case "ServingRuntime" | "ClusterServingRuntime":
            return dict(spec)
        case "InferenceService":
            return dict(spec.get("predictor") or {})
    return None


def containers(manifest: Object) -> Iterator[Object]:
    """The containers of a workload, in the order of its pod; an InferenceService's `model` counts as one."""
    spec = pod_spec(manifest) or {}
    yield from spec.get("containers") or []
    if model := spec.get("model"):
        yield {"name": "model", **model}


def quantity(value: object) -> Decimal:
    """A resource quantity (`500m`, `12`, `4Gi`, `1e3`) as a number. Raises RenderError."""
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    try:
        return Decimal(number) * _SUFFIXES[text[len(number) :]]
    except (InvalidOperation, KeyError):
        pass
    try:
        return Decimal(text)
    except InvalidOperation:
        raise RenderError(f"{text!r} is not a quantity such as 500m, 12 or 4Gi") from None


def _metadata(manifest: Object) -> Iterator[Object]:
    """An object's metadata, and that of the pods that it makes."""
    yield manifest["metadata"]
    template = (manifest.get("spec") or {}).get("template")
    if isinstance(template, dict) and isinstance(template.get("metadata"), dict):
        yield template["metadata"]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

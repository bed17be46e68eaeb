"""Objects as data: parse, check, name, order.                                                                (pure)"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

import yaml

from deploy.errors import RenderError
from deploy.types import MANAGER, Object, Reference, Release

MANAGED_BY, INSTANCE = "app.kubernetes.io/managed-by", "app.kubernetes.io/instance"
OWNER, OWNER_SPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
HOOK = "helm.sh/hook"
# Objects that others refer to come first; those that act on others, such as custom resources, last.
_ORDER = (
    *("Namespace", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Secret", "ConfigMap"),
    *("PersistentVolumeClaim", "Role", "RoleBinding", "Service", "Deployment", "HorizontalPodAutoscaler"),
    *("Ingress", "ServingRuntime"),
)
_CLUSTER_SCOPED = {"Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding", "ClusterServingRuntime"}
_SUFFIXES = {
    **{"": Decimal(1), "m": Decimal("1e-3"), "u": Decimal("1e-6"), "n": Decimal("1e-9")},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some YAML 1.1 reader takes for something else: `y`, `12345e7`, `0o17`, `1:30`."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:taken-otherwise",
    re.compile(
        r"(?:[yYnN]|[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?|[-+]?0[xXoObB][0-9a-fA-F_]+"
        r"|[-+]?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9]*)?|[0-9]{4}-[0-9]+-[0-9]+.*|[-+]?\.(?:inf|nan|Inf|NaN|INF|NAN))$"
    ),
    list("yYnN-+.0123456789"),
)


def parse(text: str, source: str, namespace: str = "") -> list[Object]:
    """The objects of a YAML stream, `List`s unpacked; what has no namespace gets the given one. Raises RenderError."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise RenderError(f"{source} is not YAML: {' '.join(str(error).split())}") from None
    found = []
    for document in documents:
        listed = isinstance(document, dict) and document.get("kind") == "List"
        for item in document.get("items", []) if listed else [document]:
            named = isinstance(item, dict) and item.get("apiVersion") and item.get("kind")
            if not named or not item.get("metadata", {}).get("name"):
                raise RenderError(f"{source} holds something without apiVersion, kind or metadata.name")
            if namespace and item["kind"] not in _CLUSTER_SCOPED:
                item["metadata"].setdefault("namespace", namespace)
            found.append(item)
    return found


def dump(objects: Iterable[Object]) -> str:
    """A YAML stream that `kubectl apply -f -` takes."""
    text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=120, allow_unicode=True)
    return str(text)


def reference(manifest: Object) -> Reference:
    """Which object a manifest describes."""
    metadata = manifest["metadata"]
    return Reference(manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def ordered(objects: Iterable[Object]) -> list[Object]:
    """In dependency order; kinds that we do not know, which are custom resources, last."""
    rank = {kind: place for place, kind in enumerate(_ORDER)}
    return sorted(objects, key=lambda item: rank.get(item["kind"], len(rank)))


def unhooked(objects: Iterable[Object]) -> list[Object]:
    """What an apply applies: no hooks."""
    return [item for item in objects if HOOK not in (item["metadata"].get("annotations") or {})]


def plain(objects: Iterable[Object]) -> list[Object]:
    """The objects without Helm's hooks, labels and annotations."""
    found = copy.deepcopy(ordered(unhooked(objects)))
    for item in found:
        for metadata in (item["metadata"], ((item.get("spec") or {}).get("template") or {}).get("metadata") or {}):
            for field in ("labels", "annotations"):
                kept = {key: value for key, value in (metadata.get(field) or {}).items() if "helm.sh/" not in key}
                if kept.get(MANAGED_BY):
                    kept[MANAGED_BY] = MANAGER
                metadata[field] = kept
                if not kept:
                    del metadata[field]
    return found


def owned(item: Object, release: Release) -> Object:
    """An object with the label and annotations that Helm adds when it applies it."""
    metadata = item["metadata"]
    labels = {**(metadata.get("labels") or {}), MANAGED_BY: "Helm"}
    marks = {**(metadata.get("annotations") or {}), OWNER: release.name, OWNER_SPACE: release.namespace}
    return {**item, "metadata": {**metadata, "labels": labels, "annotations": marks}}


def owner(live: Object) -> Release | None:
    """The Helm release that an object in the cluster belongs to."""
    marks = live["metadata"].get("annotations") or {}
    return Release(marks[OWNER], marks.get(OWNER_SPACE, "")) if OWNER in marks else None


def pod_spec(manifest: Object) -> Object:
    """The pod that a workload makes: a Deployment's template, a ServingRuntime's or InferenceService's own."""
    spec: Object = manifest.get("spec") or {}
    match manifest["kind"]:
        case "Deployment" | "StatefulSet" | "Job" | "DaemonSet":
            spec = spec["template"]["spec"]
        case "InferenceService":
            spec = spec.get("predictor") or {}
        case "ServingRuntime" | "ClusterServingRuntime":
            pass
        case _:
            spec = {}
    return spec


def containers(manifest: Object) -> Iterator[Object]:
    """The containers of a workload, in the order of its pod; an InferenceService's `model` counts as one."""
    spec = pod_spec(manifest)
    yield from spec.get("containers") or []
    if model := spec.get("model"):
        yield {"name": "model", **model}


def quantity(value: object) -> Decimal:
    """A resource quantity (`500m`, `12`, `4Gi`, `1e3`) as a number. Raises RenderError."""
    found = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(.*)", str(value))
    if found is None or found[2] not in _SUFFIXES:
        raise RenderError(f"{str(value)!r} is not a quantity such as 500m, 12 or 4Gi")
    return Decimal(found[1]) * _SUFFIXES[found[2]]


def disown(live: Object, managers: set[str] | None) -> list[Object]:
    """`managedFields` in which these managers (None: all) no longer own `replicas`."""
    found: list[Object] = []
    for entry in copy.deepcopy(live["metadata"].get("managedFields") or []):
        if managers is None or entry["manager"] in managers:
            (entry["fieldsV1"].get("f:spec") or {}).pop("f:replicas", None)
            if not entry["fieldsV1"].get("f:spec", True):
                del entry["fieldsV1"]["f:spec"]
        if entry["fieldsV1"]:
            found.append(entry)
    return found

"""What rendered workloads ask of a cluster: resources for their pods, and objects that they name.             (pure)"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from deploy import manifests
from deploy.manifests import quantity
from deploy.types import Object, Reference


@dataclass(frozen=True)
class Need:
    """What the pods of one workload ask of a node and of a quota: the sums over their containers, one pod."""

    name: Reference
    replicas: int
    requests: Mapping[str, Decimal]
    limits: Mapping[str, Decimal]
    selector: Mapping[str, str]
    tolerations: Sequence[Object]


def needs(objects: Sequence[Object]) -> list[Need]:
    """The needs of what makes pods for good: not a ServingRuntime's, which an InferenceService runs."""
    makers = [item for item in objects if item["kind"] in {"Deployment", "InferenceService"}]
    return [_need(item) for item in makers if list(manifests.containers(item))]


def references(objects: Sequence[Object]) -> Iterator[tuple[Reference, str]]:
    """What the pods name, and the manifests do not bring: (object, its use)."""
    brought = {manifests.reference(item).key for item in objects}
    seen: set[tuple[str, str, str, str]] = set()
    for item in objects:
        for reference, use in _named(item):
            if reference.key not in brought | seen:
                seen.add(reference.key)
                yield reference, use


def _need(item: Object) -> Need:
    spec = manifests.pod_spec(item)
    predictor = item["spec"].get("predictor") or {}
    replicas = (
        predictor.get("minReplicas", 1) if item["kind"] == "InferenceService" else item["spec"].get("replicas", 1)
    )
    sums: dict[str, dict[str, Decimal]] = {"requests": defaultdict(Decimal), "limits": defaultdict(Decimal)}
    for container in manifests.containers(item):
        resources = container.get("resources") or {}
        # Without a request, the limit is the request.
        both = {"limits": resources.get("limits") or {}}
        both["requests"] = {**both["limits"], **(resources.get("requests") or {})}
        for part, values in both.items():
            for name, value in values.items():
                sums[part][name] += quantity(value)
    return Need(manifests.reference(item), replicas, dict(sums["requests"]), dict(sums["limits"]),
                spec.get("nodeSelector") or {}, spec.get("tolerations") or [])  # fmt: skip


def _named(item: Object) -> Iterator[tuple[Reference, str]]:
    spec = manifests.pod_spec(item)
    space = item["metadata"].get("namespace", "")
    for secret in spec.get("imagePullSecrets") or []:
        yield Reference("v1", "Secret", space, secret["name"]), "an image pull secret"
    for volume in spec.get("volumes") or []:
        if claim := volume.get("persistentVolumeClaim"):
            yield Reference("v1", "PersistentVolumeClaim", space, claim["claimName"]), f"the volume {volume['name']}"
        if (secret := volume.get("secret")) and not secret.get("optional"):
            yield Reference("v1", "Secret", space, secret["secretName"]), f"the volume {volume['name']}"
        if (source := volume.get("configMap")) and not source.get("optional"):
            yield Reference("v1", "ConfigMap", space, source["name"]), f"the volume {volume['name']}"
    for container in spec.get("containers") or []:
        for variable in container.get("env") or []:
            key = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if key and not key.get("optional"):
                yield Reference("v1", "Secret", space, key["name"]), f"the variable {variable['name']}"

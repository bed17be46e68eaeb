"""What rendered workloads need from a cluster: resources for their pods, and objects that they name.
(pure)"""

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
    """What a pod of one workload needs from a node and a quota: sums over its containers."""

    name: Reference
    replicas: int
    requests: Mapping[str, Decimal]
    limits: Mapping[str, Decimal]
    selector: Mapping[str, str]
    tolerations: Sequence[Object]


def needs(objects: Sequence[Object]) -> list[Need]:
    """The needs of workloads that run pods: not of a ServingRuntime, which an InferenceService runs."""
    makers = [item for item in objects if item["kind"] in {"Deployment", "InferenceService"}]
    return [_need(item) for item in makers if list(manifests.containers(item))]


def references(objects: Sequence[Object]) -> Iterator[tuple[Reference, str]]:
    """Objects that the pods name and the manifests do not contain: (object, its use)."""
    brought = {manifests.reference(item).key for item in objects}
    seen: set[tuple[str, str, str, str]] = set()
    for item in objects:
        for reference, use in _named(item):
            if reference.key not in brought | seen:
                seen.add(reference.key)
                yield reference, use


def _need(item: Object) -> Need:
    spec, own = manifests.pod_spec(item), item["spec"]
    serves = item["kind"] == "InferenceService"
    replicas = own.get("predictor", {}).get("minReplicas", 1) if serves else own.get("replicas", 1)
    requests: dict[str, Decimal] = defaultdict(Decimal)
    limits: dict[str, Decimal] = defaultdict(Decimal)
    for container in manifests.containers(item):
        resources = container.get("resources") or {}
        most = resources.get("limits") or {}
        # Without a request, the limit is the request.
        for sums, amounts in ((limits, most), (requests, {**most, **(resources.get("requests") or {})})):
            for name, amount in amounts.items():
                sums[name] += quantity(amount)
    selector, tolerations = spec.get("nodeSelector") or {}, spec.get("tolerations") or []
    return Need(manifests.reference(item), replicas, requests, limits, selector, tolerations)


def _named(item: Object) -> Iterator[tuple[Reference, str]]:
    spec, space = manifests.pod_spec(item), item["metadata"].get("namespace", "")
    for secret in spec.get("imagePullSecrets") or []:
        yield Reference("v1", "Secret", space, secret["name"]), "an image pull secret"
    kinds = {
        "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
        "secret": ("Secret", "secretName"),
        "configMap": ("ConfigMap", "name"),
    }
    for volume in spec.get("volumes") or []:
        for field, (kind, key) in kinds.items():
            if (source := volume.get(field)) and not source.get("optional"):
                yield Reference("v1", kind, space, source[key]), f"the volume {volume['name']}"
    for variable in (entry for container in spec.get("containers") or [] for entry in container.get("env") or []):
        secret = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if secret and not secret.get("optional"):
            yield Reference("v1", "Secret", space, secret["name"]), f"the variable {variable['name']}"

"""Values that the chart refuses, each in a line that names it."""

from __future__ import annotations

import helm_python
import pytest

from tests.deploy.charts import rendered


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("replica: 3", "additional properties 'replica' not allowed"),
        ("config: {api: {max_word: 3}}", "at '/config/api': additional properties 'max_word' not allowed"),
        ("replicas: 0", "at '/replicas': minimum: got 0, want 1"),
        ("replicas: two", "at '/replicas': got string, want integer"),
        ("resources: {limits: {cpu: 0}}", "at '/resources/limits/cpu'"),
        ("resources: {limits: {memory: lots}}", "at '/resources/limits/memory'"),
        ("autoscaling: {type: vpa}", "at '/autoscaling/type': value must be one of 'none', 'hpa', 'keda'"),
        ("kserve: {knative: {canaryTrafficPercent: 101}}", "canaryTrafficPercent': maximum: got 101, want 100"),
        (
            "resources: {limits: {cpu: 6}}",
            "resources.limits.cpu (6) is below resources.requests.cpu (12): make them equal",
        ),
        (
            "resources: {requests: {cpu: 1500m}, limits: {cpu: 1.4}}",
            "resources.limits.cpu (1.4) is below resources.requests.cpu (1500m): make them equal",
        ),
        (
            "resources: {limits: {memory: 900Mi}}",
            "resources.limits.memory (900Mi) is below resources.requests.memory (3328Mi)",
        ),
        (
            "autoscaling: {minReplicas: 9}",
            "autoscaling.minReplicas (9) is above autoscaling.maxReplicas (6): swap them",
        ),
        ("model: {source: pvc}", "model.pvc.claim is empty: name a PersistentVolumeClaim"),
        ("model: {source: init}", "model.init.command is empty: give the command"),
        ("model: {source: image}", "model.image.reference is empty: name the OCI image"),
        (
            "{model: {source: pvc, pvc: {claim: a}}, config: {model: {checkpoint_dir: b}}}",
            "model.source is pvc and mounts the model at /mnt/models: leave one of them out",
        ),
        ("httpRoute: {enabled: true}", "httpRoute.parentRefs is empty: name the Gateway"),
        (
            "{ingress: {enabled: true, path: /a}, httpRoute: {enabled: true, path: /b, parentRefs: [{name: g}]}}",
            "ingress.path (/a) and httpRoute.path (/b) differ: make them equal",
        ),
        ("config: {api: {base_path: wordtell}}", "at '/config/api/base_path': 'wordtell' does not match pattern"),
        ("kserve: {enabled: true}", "kserve.storageUri is empty: name where the model folder is"),
        (
            "{kserve: {enabled: true, storageUri: 's3://a'}, model: {source: init, init: {command: [a]}}}",
            "leave model.source (init) out",
        ),
        (
            "kserve: {enabled: true, storageUri: 's3://a', knative: {canaryTrafficPercent: 10}}",
            "Standard has no canary",
        ),
        (
            "kserve: {enabled: true, mode: Knative, storageUri: 's3://a', knative: {minReplicas: 9}}",
            "kserve.knative.minReplicas (9)",
        ),
    ],
)
def test_bad_values_are_refused_by_name(values: str, message: str) -> None:
    with pytest.raises((helm_python.HelmValuesError, helm_python.HelmRenderError)) as refused:
        rendered(values)
    (line,) = [line for line in str(refused.value).splitlines() if message in line]
    assert len(line) < 250

"""The chart: what it makes of its values, what it refuses, and that nothing it makes is unsound."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from bento import __version__, metrics
from bento.settings import ROOT, ApiSettings, Settings, fields, load
from deploy.render import CHART
from tests import clients
from tests.deploy.charts import CUSTOM, all_values, generator, kinds, only, pod, rendered

# The oldest that the chart allows, one between, and the newest whose schemas there are.
KUBERNETES = ("1.27", "1.31", kubernetes_validate.latest_version())
VALUES = [pytest.param(values, id=name) for name, values in all_values()]


@pytest.mark.parametrize(
    ("path", "text"), [pytest.param(*made, id=made[0].name) for made in generator().made().items()]
)
def test_what_is_made_of_the_chart_is_current(path: Path, text: str) -> None:
    assert path.read_text() == text, "run: make chart"


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("version", ["v1.27.0", "v1.35.0"])
def test_helm_finds_nothing_to_complain_of(values: dict[str, Any], version: str) -> None:
    report = helm_python.lint(CHART, values, strict=True, kube_version=version)
    assert report["total_charts_linted"] == 1
    assert report["errors"] == []
    assert [note for note in report["messages"] if note["severity"] > 1] == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", VALUES)
def test_core_objects_fit_the_schemas_of_kubernetes(values: dict[str, Any], version: str) -> None:
    if values.get("model", {}).get("source") == "image" and version == "1.27":
        pytest.skip("image volumes came with 1.31")
    core = [item for item in rendered(values) if item["kind"] not in CUSTOM]
    for item in core:
        kubernetes_validate.validate(item, version, strict=True)
    assert core or values["kserve"]["enabled"]


def test_the_schemas_would_find_a_mistake() -> None:
    deployment = only(rendered(), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(deployment, KUBERNETES[0], strict=True)


def test_kserves_objects_fit_the_models_of_its_sdk() -> None:
    objects = [item for _, values in all_values() for item in rendered(values) if "kserve.io" in item["apiVersion"]]
    assert {item["kind"] for item in objects} == {"ServingRuntime", "InferenceService"}
    assert unknown_to_kserve(objects) == []
    objects[-1]["spec"]["predictor"]["model"]["storageUrl"] = "a typo"
    assert unknown_to_kserve(objects) == [
        f"{objects[-1]['kind']}.spec.predictor.model.storageUrl: V1beta1ModelSpec has no such field"
    ]


def unknown_to_kserve(objects: list[dict[str, Any]]) -> list[str]:
    return list(clients.run("tests/deploy/kserve_models.py", given=objects))


@pytest.mark.parametrize("values", VALUES)
def test_every_pod_is_restricted_bounded_and_probed(values: dict[str, Any]) -> None:
    """What the pod security standard `restricted` asks for, and more: bounds, a read-only root, HTTP probes."""
    pods = [(item["kind"], found) for item in rendered(values) if (found := pod(item))]
    assert pods
    for kind, spec in pods:
        if kind != "ServingRuntime":  # there the InferenceService has what concerns the pod
            assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
        for container in spec["containers"]:
            if kind != "Pod":  # a test pod ends by itself
                assert {"readinessProbe", "livenessProbe"} <= container.keys()
            if container["name"] in ("wordtell", "kserve-container"):
                assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
                assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
                assert container["ports"][0]["containerPort"] == 3000
                assert container["resources"]["requests"] == container["resources"]["limits"]  # Guaranteed


@pytest.mark.parametrize(
    ("values", "made", "gone"),
    [
        ("", {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "Pod"}, {"Ingress", "ConfigMap"}),
        ("autoscaling: {type: hpa}", {"HorizontalPodAutoscaler"}, {"ScaledObject"}),
        ("autoscaling: {type: keda}", {"ScaledObject"}, {"HorizontalPodAutoscaler"}),
        (
            "kserve: {enabled: true, storageUri: 's3://a'}",
            {"ServingRuntime", "InferenceService"},
            {"Deployment", "Service"},
        ),
        ("{pdb: {enabled: false}, serviceAccount: {create: false}}", set(), {"PodDisruptionBudget", "ServiceAccount"}),
    ],
)
def test_values_switch_objects(values: str, made: set[str], gone: set[str]) -> None:
    found = kinds(rendered(values))
    assert made <= found
    assert not gone & found


def test_an_autoscaler_is_not_contradicted_by_a_number_of_pods() -> None:
    assert only(rendered("replicas: 3"), "Deployment")["spec"]["replicas"] == 3
    assert "replicas" not in only(rendered("autoscaling: {type: hpa}"), "Deployment")["spec"]


@pytest.mark.parametrize("source", ["baked", "pvc", "init", "image"])
def test_the_model_comes_from_where_the_values_say(source: str) -> None:
    given = {"pvc": {"claim": "models"}, "init": {"command": ["fetch"]}, "image": {"reference": "models:1"}}
    spec = pod(only(rendered({"model": {"source": source, **given}}), "Deployment"))
    assert spec
    (container,) = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    if source == "baked":
        assert volumes.keys() == {"tmp"}
        assert environment.keys() == {"OMP_NUM_THREADS"}
    else:
        assert environment["WORDTELL_MODEL__CHECKPOINT_DIR"] == "/mnt/models"
        assert {"name": "model", "mountPath": "/mnt/models", "readOnly": True} in container["volumeMounts"]
        assert {"pvc": "persistentVolumeClaim", "init": "emptyDir", "image": "image"}[source] in volumes["model"]
    assert ("initContainers" in spec) == (source == "init")


@pytest.mark.parametrize("name", ["mine", "1.10", "no", "null", 'a "b" # c', None])
def test_settings_become_variables_that_wordtell_reads(name: str | None) -> None:
    """The values, the ConfigMap and wordtell's own reading of it, through a real environment."""
    api = {"max_words": 400, "timeout_s": 61.5, "max_queue_tokens": 10_000_000, "base_path": "/here"}
    api["cors_origins"] = ["https://a.example", "https://b.example"]
    config = {"api": api, "cpu": {"fused": False}, "model": {"name": name, "max_tokens": None}}
    data = only(rendered({"config": config}), "ConfigMap")["data"]
    code = "from bento import settings; print(settings.load().settings.model_dump_json())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=data,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    read = Settings.model_validate_json(done.stdout)
    assert (read.api.max_words, read.api.timeout_s, read.api.max_queue_tokens) == (400, 61.5, 10_000_000)
    assert (read.api.base_path, read.api.cors_origins) == ("/here", ("https://a.example", "https://b.example"))
    assert (read.cpu.fused, read.model.name, read.model.max_tokens) == (False, name, None)


def test_a_changed_setting_restarts_the_pods() -> None:
    first, second = (only(rendered(f"config: {{cpu: {{lanes: {n}}}}}"), "Deployment") for n in (1, 2))
    annotations = [item["spec"]["template"]["metadata"]["annotations"] for item in (first, second)]
    assert annotations[0] != annotations[1]


def test_the_schema_knows_every_setting_but_the_keys_which_are_a_secret() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]
    known = {f"{section}.{key}" for section, body in schema.items() for key in body["properties"]}
    assert known == {key for key, _ in fields()} - {"api.keys", "jobs.database_url"}


@pytest.mark.parametrize("shutdown", [None, 5, 90.5])
def test_a_pod_has_time_to_finish_what_it_took_on(shutdown: float | None) -> None:
    config = {} if shutdown is None else {"api": {"shutdown_s": shutdown}}
    spec = pod(only(rendered({"config": config, "preStopSeconds": 7}), "Deployment"))
    assert spec
    assert spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "7"]
    assert spec["terminationGracePeriodSeconds"] > 7 + (shutdown or ApiSettings().shutdown_s)
    assert spec["terminationGracePeriodSeconds"] > 7 + 20 or shutdown == 5


def test_the_way_in_fits_the_largest_request() -> None:
    values = "{ingress: {enabled: true}, httpRoute: {enabled: true, parentRefs: [{name: g}]}}"
    annotations = only(rendered(values), "Ingress")["metadata"]["annotations"]
    api = ApiSettings()
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-body-size"]) == api.max_body_bytes
    assert float(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > api.timeout_s
    (rule,) = only(rendered(values), "HTTPRoute")["spec"]["rules"]
    assert float(rule["timeouts"]["request"].rstrip("s")) > api.timeout_s
    example = (ROOT / "examples" / "test_120_sentences.json").stat().st_size
    assert example < api.max_body_bytes


@pytest.mark.parametrize(
    ("values", "base"),
    [
        ("ingress: {enabled: true}", None),
        ("ingress: {enabled: true, path: /wordtell}", "/wordtell"),
        ("ingress: {enabled: true, path: /wordtell/}", "/wordtell"),
        ("ingress: {enabled: false, path: /wordtell}", None),
        ("ingress: {enabled: true, path: '/wordtell(/|$)(.*)'}", None),
        ("httpRoute: {enabled: true, path: /a/b, parentRefs: [{name: g}]}", "/a/b"),
        ("{ingress: {enabled: true}, httpRoute: {enabled: true, path: /a, parentRefs: [{name: g}]}}", "/a"),
        ("{ingress: {enabled: true, path: /a}, httpRoute: {enabled: true, path: /a/, parentRefs: [{name: g}]}}", "/a"),
        ("{ingress: {enabled: true, path: /a}, config: {api: {base_path: /b}}}", None),  # the ConfigMap has it
        ("{ingress: {enabled: true, path: /a}, config: {api: {base_path: ''}}}", None),
        ("{ingress: {enabled: true, path: /a}, config: {api: {max_words: 7}}}", "/a"),
    ],
)
def test_a_path_of_the_way_in_is_one_that_wordtell_knows(values: str, base: str | None) -> None:
    spec = pod(only(rendered(values), "Deployment"))
    assert spec
    environment = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
    assert environment == {"OMP_NUM_THREADS": None} | ({"WORDTELL_API__BASE_PATH": base} if base else {})
    assert load(environ={"WORDTELL_API__BASE_PATH": base or ""}).settings.api.base_path == (base or "")


def test_annotations_of_the_user_go_before_the_charts() -> None:
    values = "ingress: {enabled: true, annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: '7'}}"
    annotations = only(rendered(values), "Ingress")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "7"
    assert len(annotations) == 3


def test_threads_follow_the_limit() -> None:
    def threads(values: str, kind: str) -> dict[str, Any]:
        spec = pod(only(rendered(values), kind))
        assert spec
        return dict(spec["containers"][0]["env"][0])

    assert threads("", "Deployment")["valueFrom"] == {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}
    knative = "{kserve: {enabled: true, mode: Knative, storageUri: 's3://a'}, resources: {limits: %s, requests: %s}}"
    for cpu, count in (("4", "4"), ("2500m", "2"), ("0.5", "1")):
        resources = f"{{cpu: {cpu}, memory: 1Gi}}"
        assert threads(knative % (resources, resources), "ServingRuntime")["value"] == count


@pytest.mark.parametrize(
    ("values", "memory"),
    [
        ("", "3328Mi"),  # 512, twice 1024, and 64 for each of 12 cores
        ("{model: {size: 10M}, resources: {requests: {cpu: 1500m}, limits: {cpu: 1500m}}}", "660Mi"),
        ("{model: {size: 1408Mi}, resources: {requests: {cpu: 12}}}", "4Gi"),  # as the API server writes 4096Mi
        ("resources: {requests: {memory: 5Gi}, limits: {memory: 5Gi}}", "5Gi"),
    ],
)
def test_memory_follows_the_model_and_the_cores(values: str, memory: str) -> None:
    spec = pod(only(rendered(values), "Deployment"))
    assert spec
    resources = spec["containers"][0]["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == memory


def test_the_cluster_may_choose_the_user() -> None:
    """A namespace of OpenShift has a range of numbers, and refuses others."""
    for item in rendered("user: null"):
        if spec := pod(item):
            every = [spec["securityContext"], *(one["securityContext"] for one in spec["containers"])]
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & {key for context in every for key in context}
            assert all(context["runAsNonRoot"] for context in every)


def test_the_service_has_the_families_that_are_asked_for() -> None:
    assert not {"ipFamilies", "ipFamilyPolicy"} & set(only(rendered(), "Service")["spec"])
    spec = only(rendered("service: {ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6, IPv4]}"), "Service")["spec"]
    assert (spec["ipFamilyPolicy"], spec["ipFamilies"]) == ("RequireDualStack", ["IPv6", "IPv4"])


def test_alerts_and_panels_ask_for_metrics_that_there_are() -> None:
    exported = set(re.findall(r"^# TYPE (wordtell_\w+)", metrics.exposition()[0].decode(), re.MULTILINE))
    exported |= {f"{name}{end}" for name in exported for end in ("_bucket", "_sum", "_count")}
    for name in ("rules.yaml", "dashboard.json"):
        asked = set(re.findall(r"\bwordtell_\w+", (CHART / "files" / name).read_text()))
        assert asked
        assert asked <= exported
    assert len(json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]) == 15


def test_the_chart_has_the_packages_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__

"""The chart as API servers and webhooks want it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from tests.deploy import crds
from tests.deploy.charts import CUSTOM, all_values, only, pod, rendered

VALUES = [pytest.param(values, id=name) for name, values in all_values()]


@pytest.mark.skipif(not crds.schemas(), reason=f"no custom resource definitions in {crds.FOLDER}: set CLUSTER_CRDS")
@pytest.mark.parametrize("values", VALUES)
def test_custom_objects_fit_their_definitions(values: dict[str, Any]) -> None:
    schemas = crds.schemas()
    custom = [item for item in rendered(values) if item["kind"] in CUSTOM]
    for item in custom:
        crds.check(item, schemas[item["apiVersion"], item["kind"]])
        with pytest.raises(jsonschema.ValidationError, match="'mistake' was unexpected"):
            crds.check({**item, "spec": {**item["spec"], "mistake": 1}}, schemas[item["apiVersion"], item["kind"]])


def test_kserves_webhook_takes_what_keda_scales_by() -> None:
    """It wants `target.value` of an external metric; that is compared with a mean, so the query asks for one."""
    values = "{kserve: {enabled: true, storageUri: 's3://a'}, autoscaling: {type: keda}}"
    (metric,) = only(rendered(values), "InferenceService")["spec"]["predictor"]["autoScaling"]["metrics"]
    assert metric["external"]["target"] == {"type": "Value", "value": "55000"}
    assert metric["external"]["metric"]["query"].startswith("avg(")


def test_runtimes_of_one_namespace_do_not_compete() -> None:
    """KServe's webhook refuses two with the same priority for one format: no one is chosen, the runtime is named."""
    objects = rendered("kserve: {enabled: true, storageUri: 's3://a'}")
    (offered,) = only(objects, "ServingRuntime")["spec"]["supportedModelFormats"]
    assert not {"autoSelect", "priority"} & offered.keys()
    model = only(objects, "InferenceService")["spec"]["predictor"]["model"]
    assert model["runtime"] == only(objects, "ServingRuntime")["metadata"]["name"]


@pytest.mark.parametrize("values", VALUES)
def test_what_is_rendered_is_what_the_api_server_keeps(values: dict[str, Any]) -> None:
    """Quantities as text, a divisor, no empty list: else every other manager conflicts, or the generation rises."""
    for item in rendered(values):
        for container in (pod(item) or {}).get("containers", []):
            amounts = [amount for part in container["resources"].values() for amount in part.values()]
            assert all(isinstance(amount, str) for amount in amounts)
            references = [e["valueFrom"]["resourceFieldRef"] for e in container.get("env", [])
                          if "resourceFieldRef" in e.get("valueFrom", {})]  # fmt: skip
            assert all("divisor" in reference for reference in references)
        assert item["kind"] != "NetworkPolicy" or item["spec"].get("egress", "none") != []


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ("", "wordtell"),
        ("{name: mine}", "mine"),
        ("{create: false}", "default"),
        ("{create: false, name: theirs}", "theirs"),
    ],
)
def test_the_service_account_is_the_named_one(values: str, name: str) -> None:
    objects = rendered(f"serviceAccount: {values or '{}'}")
    spec = pod(only(objects, "Deployment"))
    assert spec
    assert spec["serviceAccountName"] == name
    accounts = [item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"]
    assert accounts == ([] if "create: false" in values else [name])


@pytest.mark.parametrize("text", ["12345e7", "y", "0o17", "1:30", "2026-11-25"])
def test_text_stays_text(text: str) -> None:
    values = {"podAnnotations": {"a": text}, "nodeSelector": {"b": text}, "priorityClassName": "1e3"}
    template = only(rendered(values), "Deployment")["spec"]["template"]
    assert template["metadata"]["annotations"]["a"] == text
    assert template["spec"]["nodeSelector"] == {"b": text}
    assert template["spec"]["priorityClassName"] == "1e3"


def test_kserves_clients_find_the_model_by_the_name_of_the_service() -> None:
    for config, name in (("{}", "wordtell"), ("{model: {name: mine}}", None)):
        objects = rendered(f"{{kserve: {{enabled: true, storageUri: 's3://a'}}, config: {config}}}")
        (container,) = only(objects, "ServingRuntime")["spec"]["containers"]
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert environment.get("WORDTELL_MODEL__NAME") == name
        assert only(objects, "InferenceService")["metadata"]["name"] == "wordtell"

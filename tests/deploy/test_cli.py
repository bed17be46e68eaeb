"""The command, end to end over HTTP."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from deploy import needs, preflight, render
from deploy.types import Object, Release
from tests.deploy import controllers
from tests.deploy.api_server import ApiServer
from tests.deploy.conftest import Deploy, existing
from tests.deploy.wire import Refused


def test_apply_then_status_then_delete(wordtell_deploy: Deploy, server: ApiServer) -> None:
    done = wordtell_deploy("apply")
    assert done.code == 0, done.err
    assert "wordtell revision 1: ready after" in done.out
    done = wordtell_deploy("status")
    assert "example.org/wordtell:1" in done.out
    assert "1 of 1 available" in done.out
    done = wordtell_deploy("delete", "--yes")
    assert done.code == 0, done.err
    assert server.find("deployments", "wordtell") is None
    assert server.find("configmaps", "wordtell") is None
    assert not [key for key in server.objects if key[1] == "secrets"]
    assert "nothing is deployed as wordtell in the namespace shop" in wordtell_deploy("status").err


def test_the_values_of_an_apply_are_all_of_them(wordtell_deploy: Deploy, server: ApiServer) -> None:
    """Helm would go on with the earlier ones when none are given."""
    assert wordtell_deploy("apply", "--set", "greeting=first").code == 0
    assert wordtell_deploy("apply").code == 0
    assert existing(server, "configmaps", "wordtell")["data"] == {"greeting": "hello"}


def test_wordtells_own_chart_goes_the_same_way(wordtell_deploy: Deploy, server: ApiServer) -> None:
    done = wordtell_deploy("apply", "--chart", str(render.CHART))
    assert done.code == 0, done.err
    assert "Deployment/wordtell: 2 of 2 available" in done.err
    assert wordtell_deploy("delete", "--yes").code == 0
    assert server.find("deployments", "wordtell") is None


def test_the_pods_of_an_inferenceservice_are_counted_once() -> None:
    values = ("kserve.storageUri=pvc://a/b",)
    objects = render.render(render.Order(Release("wordtell", "shop"), "kserve", sets=values)).objects
    assert {item["kind"] for item in objects} == {"ServingRuntime", "InferenceService"}
    (need,) = needs.needs(objects)
    assert (need.name.kind, need.replicas, need.requests["cpu"]) == ("InferenceService", 2, Decimal(12))


def test_render_prints_nothing_but_yaml(wordtell_deploy: Deploy) -> None:
    done = wordtell_deploy("render", "--set", "greeting=hi", "--namespace", "x")
    kinds = [item["kind"] for item in yaml.safe_load_all(done.out)]
    assert kinds == ["ConfigMap", "Service", "Deployment"]
    assert "helm" not in done.out.lower()
    assert done.err == ""
    assert "helm.sh/hook" in wordtell_deploy("render", "helm").out
    assert "InferenceService" in wordtell_deploy("render", "kserve").out


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (controllers.waiting("ImagePullBackOff", "Back-off pulling image"), "ImagePullBackOff: Back-off pulling image"),
        (controllers.unschedulable("0/3 nodes are available"), "Unschedulable: 0/3 nodes are available"),
    ],
)
def test_a_rollout_that_cannot_work_fails_at_once(
    wordtell_deploy: Deploy, server: ApiServer, status: Callable[[Object], Object], said: str
) -> None:
    server.controllers[:] = [controllers.deployment(status)]
    done = wordtell_deploy("apply", "--timeout", "60")
    assert done.code == 1
    assert said in done.err
    assert done.err.startswith("Deployment/wordtell: ") or done.err.startswith("wordtell-deploy: ")


def test_a_crash_brings_the_end_of_the_log(wordtell_deploy: Deploy, server: ApiServer) -> None:
    ended = {"reason": "Error", "exitCode": 1, "message": "model.onnx: checksum differs"}
    server.controllers[:] = [controllers.deployment(controllers.waiting("CrashLoopBackOff", "", ended))]

    def log(state: ApiServer, item: Object) -> None:
        state.logs.update(
            {key[3]: "wordtell: /mnt/models: no manifest.json" for key in state.objects if key[1] == "pods"}
        )

    server.controllers.append(log)
    done = wordtell_deploy("apply", "--timeout", "60")
    assert done.code == 1
    assert (
        "CrashLoopBackOff: container wordtell ended 3 times (Error, exit code 1): model.onnx: checksum differs"
        in done.err
    )
    assert "the end of its log:\nwordtell: /mnt/models: no manifest.json" in done.err
    assert "[uninstalled: there was no revision before it]" in done.err
    assert "nothing is deployed" in wordtell_deploy("status").err


def test_a_failed_rollout_does_not_spoil_the_next(wordtell_deploy: Deploy, server: ApiServer) -> None:
    server.controllers[:] = [controllers.deployment(controllers.waiting("ErrImagePull", "no such image"))]
    assert "ErrImagePull: no such image" in wordtell_deploy("apply", "--set", "image.tag=v9").err
    server.controllers[:] = [controllers.deployment()]
    assert wordtell_deploy("apply").code == 0


def test_rollback_brings_config_back_and_takes_away_what_was_not_there(
    wordtell_deploy: Deploy, server: ApiServer
) -> None:
    server.put({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}})
    assert wordtell_deploy("apply", "--set", "greeting=first").code == 0
    second = wordtell_deploy("apply", "--set", "greeting=second,ingress.enabled=true,cache=true")
    assert second.code == 0, second.err
    assert existing(server, "configmaps", "wordtell")["data"] == {"greeting": "second"}
    done = wordtell_deploy("rollback")
    assert done.code == 0, done.err
    assert "Ingress/wordtell deleted" in done.out
    assert "PersistentVolumeClaim/wordtell-cache kept" in done.out
    assert existing(server, "configmaps", "wordtell")["data"] == {"greeting": "first"}
    assert server.find("ingresses", "wordtell") is None
    status = wordtell_deploy("status").out
    assert "3, deployed" in status
    assert "Rollback to 1" in status
    assert "there is no revision 9 of wordtell: there are 1, 2, 3" in wordtell_deploy("rollback", "9").err
    assert [line.split()[:2] for line in wordtell_deploy("history").out.splitlines()] == [
        ["revision", "state"], ["1", "superseded"], ["2", "superseded"], ["3", "deployed"]
    ]  # fmt: skip
    wordtell_deploy("delete", "--yes")
    assert server.find("persistentvolumeclaims", "wordtell-cache") is not None, "data stays"


def test_a_conflict_is_found_before_anything_is_changed(wordtell_deploy: Deploy, server: ApiServer) -> None:
    assert wordtell_deploy("apply").code == 0
    edited = copy.deepcopy(existing(server, "services", "wordtell"))
    edited["spec"]["ports"] = [{"port": 81}]
    server.put(edited, "kubectl-edit")
    done = wordtell_deploy("apply", "--set", "greeting=other")
    assert done.code == 1
    assert "Service/wordtell: kubectl-edit owns .spec.ports; --force-conflicts" in done.err
    assert "nothing was changed" in done.err
    assert existing(server, "configmaps", "wordtell")["data"] == {"greeting": "hello"}
    done = wordtell_deploy("apply", "--force-conflicts")
    assert done.code == 0, done.err
    assert existing(server, "services", "wordtell")["spec"]["ports"] == [{"port": 80, "targetPort": 3000}]


def test_an_apply_that_stops_half_way_is_taken_back(wordtell_deploy: Deploy, server: ApiServer) -> None:
    # The rehearsal passes, and the server fails in the middle of the real one.
    def fail(state: ApiServer, item: Object) -> None:
        if item["kind"] == "ConfigMap":
            state.controllers.remove(fail)
            state.scripted.append(("PATCH", "services", Refused(500, "InternalError", "etcdserver: request timed out")))

    server.controllers.append(fail)
    done = wordtell_deploy("apply")
    assert done.code == 1
    assert "etcdserver: request timed out [uninstalled: there was no revision before it]" in done.err
    assert done.err.count("\n") == 1
    assert server.find("configmaps", "wordtell") is None
    assert wordtell_deploy("apply").code == 0
    server.controllers.append(fail)
    done = wordtell_deploy("apply", "--set", "greeting=other")
    assert "etcdserver: request timed out [rolled back to revision 1, as revision 3]" in done.err
    assert existing(server, "configmaps", "wordtell")["data"] == {"greeting": "hello"}


def test_dry_run_changes_nothing(wordtell_deploy: Deploy, server: ApiServer) -> None:
    before = set(server.objects)
    done = wordtell_deploy("apply", "--dry-run")
    assert "the cluster would take all of it" in done.out
    assert set(server.objects) == before


def test_create_namespace(wordtell_deploy: Deploy, server: ApiServer) -> None:
    done = wordtell_deploy("apply", "-n", "new")
    assert done.code == 1
    assert "kubectl create namespace new, or give --create-namespace" in done.err
    assert wordtell_deploy("apply", "-n", "new", "--create-namespace").code == 0
    labels = existing(server, "namespaces", "new")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "replcaCount=2"], "did you mean 'replicaCount'?"),
        (["--set", "image.tag=2"], "at '/image/tag': got number, want string; --set-string gives text"),
        (["--chart", str(render.CHART), "--set", "resources.limits.cpu=4"], "is below resources.requests.cpu (12)"),
        (["--set", "replicaCount"], "write --set key=value"),
        (["-f", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["--chart", "nowhere"], "nowhere is not a chart"),
        (["--set", "monitor=true"], "ServiceMonitor (monitoring.coreos.com/v1) is not known here"),
        (["--set", "imagePullSecrets[0].name=pull"], "Secret/pull, an image pull secret, is not there"),
        (["--set", "ingress.enabled=true"], "there is no IngressClass/nginx; there are: none"),
        (["--set", "resources.requests.cpu=99,resources.limits.cpu=99"], "no node has 99 cores and 4 GiB allocatable"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    wordtell_deploy: Deploy, server: ApiServer, arguments: list[str], said: str
) -> None:
    before = set(server.objects)
    done = wordtell_deploy("apply", *arguments)
    assert done.code == 1
    assert said in done.err
    assert done.err.count("\n") == 1
    assert set(server.objects) == before


def test_preflight_prints_a_table_and_json(wordtell_deploy: Deploy, server: ApiServer) -> None:
    done = wordtell_deploy("preflight")
    assert done.code == 0, done.out
    assert "room for 1 pods with 12 cores and 4 GiB each; 1 wanted" in done.out
    server.denied |= {("patch", "deployments"), ("list", "nodes")}
    done = wordtell_deploy("preflight", "--json")
    assert done.code == 1
    by_check = {finding["check"]: finding for finding in json.loads(done.out)}
    assert by_check["permissions"]["message"] == "you may not patch deployments.apps in shop"
    assert by_check["nodes"]["status"] == "warn"


def test_the_role_in_the_document_grants_what_preflight_asks_for() -> None:
    page = (Path(__file__).parents[2] / "docs" / "deployer.md").read_text()
    role = next(
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: Role" in block
    )
    granted = {
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    core = {"": ("configmaps", "services", "serviceaccounts"), "apps": ("deployments",)}
    applied = {(verb, group, name) for group, names in core.items() for name in names for verb in preflight.VERBS}
    assert set(preflight.OWN) | applied <= granted


def test_an_old_definition_of_a_custom_resource_stops_it(wordtell_deploy: Deploy, server: ApiServer) -> None:
    server.served["serving.kserve.io/v1alpha1"] = [("InferenceService", "inferenceservices", True)]
    done = wordtell_deploy("apply", "kserve")
    assert done.code == 1
    assert "InferenceService is not served in serving.kserve.io/v1beta1, only in v1alpha1 (upgrade" in done.err
    assert server.find("configmaps", "wordtell") is None


def test_an_inference_service_is_waited_for_by_its_conditions(wordtell_deploy: Deploy, server: ApiServer) -> None:
    server.served["serving.kserve.io/v1beta1"] = [("InferenceService", "inferenceservices", True)]

    def serve(state: ApiServer, item: Object) -> None:
        if item["kind"] == "InferenceService":
            ready = {"type": "Ready", "status": "True"}
            state.put({**item, "status": {"conditions": [ready], "url": "http://w.example.org"}}, "kserve")

    server.controllers.append(serve)
    done = wordtell_deploy("apply", "kserve")
    assert done.code == 0, done.err
    assert "http://w.example.org, Ready True" in wordtell_deploy("status").out


def test_delete_asks(wordtell_deploy: Deploy, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wordtell_deploy("apply").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    done = wordtell_deploy("delete")
    assert done.code == 1
    assert "delete ConfigMap/wordtell, Service/wordtell, Deployment/wordtell in shop of http://" in done.err
    assert "nothing was deleted" in done.err
    assert server.find("deployments", "wordtell") is not None
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert wordtell_deploy("delete").code == 0
    assert server.find("deployments", "wordtell") is None

"""The wire: the real client against answers as an API server gives them."""

from __future__ import annotations

import importlib
import json
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy import errors
from deploy.types import HELM, Reference
from tests.deploy.api_server import ApiServer
from tests.deploy.wire import Refused

client = pytest.importorskip("kubernetes.client", reason="the deployer's dependencies: pip install 'wordtell[deploy]'")
TRIES, connect = (getattr(importlib.import_module("deploy.cluster"), name) for name in ("TRIES", "connect"))

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}, "data": {"k": "v"}}
NAME = Reference("v1", "ConfigMap", "shop", "a")


def test_apply_is_a_patch_of_helms_field_manager(server: ApiServer, cluster) -> None:
    assert cluster.apply(CONFIG, dry_run=True)["data"] == {"k": "v"}
    assert cluster.get(NAME) is None
    cluster.apply(CONFIG)
    sent = [request for request in server.requests if request.method == "PATCH"]
    assert sent[0].query["dryRun"] == "All"
    assert sent[1].path == "/api/v1/namespaces/shop/configmaps/a"
    assert sent[1].query == {"fieldManager": HELM, "fieldValidation": "Strict", "force": "false"}
    assert sent[1].content == "application/apply-patch+yaml"
    assert (cluster.get(NAME) or {})["data"] == {"k": "v"}
    cluster.apply({**CONFIG, "data": {"other": "v"}})
    assert (cluster.get(NAME) or {})["data"] == {"other": "v"}, "what we no longer set goes"


def test_a_conflict_names_the_other_manager_and_the_remedy(server: ApiServer, cluster) -> None:
    server.put({**CONFIG, "data": {"k": "theirs"}}, "kubectl-edit")
    with pytest.raises(errors.Conflict, match=r"^kubectl-edit owns \.data\.k; --force-conflicts takes them over"):
        cluster.apply(CONFIG)
    assert cluster.apply(CONFIG, force=True)["data"] == {"k": "v"}


def test_forbidden_names_verb_and_resource(server: ApiServer, cluster) -> None:
    server.denied.add(("patch", "configmaps"))
    with pytest.raises(errors.Forbidden, match=r'"jane" cannot patch .* grant the verb .patch. on .configmaps.'):
        cluster.apply(CONFIG)


def test_a_quota_is_no_lack_of_permission(server: ApiServer, cluster) -> None:
    message = 'configmaps "a" is forbidden: exceeded quota: small, requested: count/configmaps=1, used: 5, limited: 5'
    server.scripted.append(("PATCH", "configmaps", Refused(403, "Forbidden", message)))
    with pytest.raises(errors.Forbidden, match=r"exceeded quota: small.*; raise the ResourceQuota"):
        cluster.apply(CONFIG)


def test_an_overloaded_server_is_asked_again_when_it_says(server: ApiServer, cluster, monkeypatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=waits.append))
    busy = Refused(429, "TooManyRequests", "too many requests", retry_after="3")
    server.scripted.append(("PATCH", "configmaps", busy))
    assert cluster.apply(CONFIG)["data"] == {"k": "v"}
    assert waits == [3]
    server.scripted += [
        ("PATCH", "configmaps", Refused(429, "TooManyRequests", "slow down", retry_after="600"))
    ] * TRIES
    with pytest.raises(errors.ClusterError, match="429 5 times: slow down"):
        cluster.apply(CONFIG)
    assert waits[1:] == [20] * (TRIES - 1), "Retry-After is honoured, within reason"


def test_a_kind_that_is_not_served(server: ApiServer, cluster, kubeconfig) -> None:
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"}}
    with pytest.raises(errors.ClusterError, match=r"does not serve HTTPRoute in gateway.networking.k8s.io/v1"):
        cluster.apply(route)
    assert cluster.get(Reference(route["apiVersion"], "HTTPRoute", "shop", "r")) is None
    server.served["gateway.networking.k8s.io/v1beta1"] = [("HTTPRoute", "httproutes", True)]
    served = connect(kubeconfig).served()
    assert [name for name in served if name.startswith("gateway.")] == ["gateway.networking.k8s.io/v1beta1"]


def test_discovery_is_two_requests(server: ApiServer, cluster) -> None:
    assert cluster.served()["apps/v1"]["Deployment"]["resource"] == "deployments"
    assert cluster.served()["v1"]["ConfigMap"]["resource"] == "configmaps"
    assert [request.path for request in server.requests] in (["/api", "/apis"], ["/apis", "/api"])


def test_a_conflict_with_a_subresource_names_the_manager_alone() -> None:
    """As a real server says it when somebody has called `kubectl scale`."""
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl" with subresource "scale" using apps/v1',
        "field": ".spec.replicas",
    }
    said = {"message": "Apply failed with 1 conflict: ...", "details": {"causes": [cause]}}
    found = errors.refusal(409, json.dumps(said).encode(), 1)
    assert found.message == "kubectl owns .spec.replicas; --force-conflicts takes them over"


def test_no_cluster(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    file = tmp_path / "config"
    file.write_text(ApiServer(url=f"http://127.0.0.1:{port}").kubeconfig())
    with pytest.raises(errors.Unreachable, match=rf"127.0.0.1:{port} cannot be reached: .*refused"):
        connect(file).version()


def test_a_server_that_is_not_trusted(server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(server.kubeconfig().replace("http://", "https://"))
    with pytest.raises(errors.Unreachable, match="its certificate is not trusted"):
        connect(file).version()


def test_credentials_that_are_not_known(server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(server.kubeconfig().replace("of-jane", "of-nobody"))
    with pytest.raises(errors.ClusterError, match="does not know you"):
        connect(file).version()


@pytest.mark.parametrize(
    ("text", "context", "said"),
    [
        (None, None, "there is no kubeconfig at .*--kubeconfig"),
        ("{}", None, "not a usable kubeconfig"),
        ("[", None, "not a usable kubeconfig"),
        ("good", "elsewhere", "no context 'elsewhere' in .*: there are here"),
    ],
)
def test_a_kubeconfig_that_is_not_usable(
    server, tmp_path: Path, text: str | None, context: str | None, said: str
) -> None:
    file = tmp_path / "config"
    if text:
        file.write_text(server.kubeconfig() if text == "good" else text)
    with pytest.raises(errors.ClusterError, match=said):
        connect(file, context)

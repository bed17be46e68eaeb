"""The wire: the real client against answers as an API server gives them."""

from __future__ import annotations

import importlib
import socket
from itertools import islice
from pathlib import Path

import pytest

from deploy import errors
from deploy.types import MANAGER, Cluster, Reference
from tests.deploy.api_server import ApiServer, Refused

client = pytest.importorskip("kubernetes.client", reason="the deployer's dependencies: pip install 'wordtell[deploy]'")
TRIES, KubernetesCluster, connect = (
    getattr(importlib.import_module("deploy.cluster"), name) for name in ("TRIES", "KubernetesCluster", "connect")
)

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}, "data": {"k": "v"}}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "x"}}}
NAME = Reference("v1", "ConfigMap", "shop", "a")


def patched(pods: str) -> dict:
    return {**POD, "metadata": {**POD["metadata"], "name": pods}}


def test_apply_is_a_patch_of_our_field_manager(server: ApiServer, cluster: Cluster) -> None:
    assert cluster.apply(CONFIG, dry_run=True)["data"] == {"k": "v"}
    assert cluster.get(NAME) is None
    cluster.apply(CONFIG)
    sent = [request for request in server.requests if request.method == "PATCH"]
    assert sent[0].query["dryRun"] == "All"
    assert sent[1].path == "/api/v1/namespaces/shop/configmaps/a"
    assert sent[1].query == {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "false"}
    assert sent[1].content == "application/apply-patch+yaml"
    assert (cluster.get(NAME) or {})["data"] == {"k": "v"}
    cluster.apply({**CONFIG, "data": {"other": "v"}})
    assert (cluster.get(NAME) or {})["data"] == {"other": "v"}, "what we no longer set goes"


def test_a_conflict_names_the_other_manager_and_the_remedy(server: ApiServer, cluster: Cluster) -> None:
    server.put({**CONFIG, "data": {"k": "theirs"}}, "kubectl-edit")
    with pytest.raises(errors.Conflict, match=r"^kubectl-edit owns \.data\.k; --force-conflicts takes them over"):
        cluster.apply(CONFIG)
    assert cluster.apply(CONFIG, force=True)["data"] == {"k": "v"}


def test_forbidden_names_verb_and_resource(server: ApiServer, cluster: Cluster) -> None:
    server.denied.add(("patch", "configmaps"))
    with pytest.raises(errors.Forbidden, match=r'"jane" cannot patch .* grant the verb .patch. on .configmaps.'):
        cluster.apply(CONFIG)


def test_a_quota_is_no_lack_of_permission(server: ApiServer, cluster: Cluster) -> None:
    message = 'configmaps "a" is forbidden: exceeded quota: small, requested: count/configmaps=1, used: 5, limited: 5'
    server.scripted.append(("PATCH", "configmaps", Refused(403, "Forbidden", message)))
    with pytest.raises(errors.Forbidden, match=r"exceeded quota: small.*; raise the ResourceQuota"):
        cluster.apply(CONFIG)


def patient(server: ApiServer, waits: list[float]) -> Cluster:
    settings = client.Configuration(host=server.url, api_key={"BearerToken": "Bearer of-jane"})
    settings.retries = False
    return KubernetesCluster(client.ApiClient(settings), sleep=waits.append, watch_s=1)


def test_an_overloaded_server_is_asked_again_when_it_says(server: ApiServer) -> None:
    waits: list[float] = []
    busy = Refused(429, "TooManyRequests", "too many requests", retry_after="3")
    server.scripted.append(("PATCH", "configmaps", busy))
    assert patient(server, waits).apply(CONFIG)["data"] == {"k": "v"}
    assert waits == [3]
    server.scripted += [
        ("PATCH", "configmaps", Refused(429, "TooManyRequests", "slow down", retry_after="600"))
    ] * TRIES
    with pytest.raises(errors.Busy, match="429 5 times: slow down"):
        patient(server, waits).apply(CONFIG)
    assert waits[1:] == [20] * (TRIES - 1), "Retry-After is honoured, within reason"


def test_a_kind_that_is_not_served_names_what_is(server: ApiServer, cluster: Cluster) -> None:
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"}}
    with pytest.raises(errors.UnknownKind, match="its definition is not installed"):
        cluster.apply(route)
    server.served["gateway.networking.k8s.io/v1beta1"] = [("HTTPRoute", "httproutes", True)]
    with pytest.raises(errors.UnknownKind, match="it serves only v1beta1"):
        cluster.apply(route)


def test_a_watch_follows_changes_and_survives_bookmarks_expiry_and_broken_connections(server: ApiServer) -> None:
    server.put(patched("one"))
    stream = patient(server, []).watch("v1", "Pod", "shop", "app=x")
    names = ([pod["metadata"]["name"] for pod in pods] for pods in stream)
    assert next(names) == ["one"]
    server.put(patched("two"))
    assert next(names) == ["one", "two"]
    assert next(names) == ["one", "two"], "a beat at the end of a watch, which a bookmark ended"
    server.watches += ["gone", "drop"]
    server.put(patched("three"))
    assert next(names) == ["one", "three", "two"], "listed again after 410"
    server.put(patched("four"))
    assert next(names) == ["one", "three", "two"], "the connection broke inside this event"
    assert next(names) == ["one", "three", "two", "four"], "and was taken up again where it was"
    lists = [request for request in server.requests if request.path.endswith("/pods") and "watch" not in request.query]
    assert len(lists) == 2
    stream.close()


def test_a_watch_sees_what_goes(server: ApiServer, cluster: Cluster) -> None:
    server.put(patched("one"))
    stream = cluster.watch("v1", "Pod", "shop", "app=x")
    assert len(next(stream)) == 1
    assert cluster.delete(Reference("v1", "Pod", "shop", "one"))
    assert list(islice(stream, 1)) == [[]]
    stream.close()
    assert not cluster.delete(Reference("v1", "Pod", "shop", "one"))


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
    with pytest.raises(errors.Unconfigured, match=said):
        connect(file, context)

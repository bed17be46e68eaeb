"""A release that the deployer before Helm made."""

from __future__ import annotations

import base64
import gzip
import json

from deploy import manifests, render
from deploy.types import HELM, Object, Release
from tests.deploy import controllers
from tests.deploy.api_server import ApiServer
from tests.deploy.conftest import CHART, Deploy, existing
from tests.deploy.wire import Refused


def test_a_release_of_the_deployer_before_helm_is_taken_over_without_a_gap(
    wordtell_deploy: Deploy, server: ApiServer
) -> None:
    """Its revision was a Secret of this form, its field manager `wordtell-deploy`."""
    old = old_release(server, "hello")
    uid = existing(server, "deployments", "wordtell")["metadata"]["uid"]
    pods = {key for key in server.objects if key[1] == "pods"}
    done = wordtell_deploy("apply")
    assert done.code == 0, done.err
    assert "taken over from the deployer before Helm: 4 objects" in done.out
    assert existing(server, "deployments", "wordtell")["metadata"]["uid"] == uid
    assert not [event for event in server.events if event[3] == "DELETED" and event[1] in ("services", "deployments")]
    assert {key for key in server.objects if key[1] == "pods"} == pods, "no pod was started anew"
    assert "ConfigMap/gone deleted: no longer in the chart" in done.out
    assert server.find("secrets", old) is None
    managers = {entry["manager"] for entry in existing(server, "services", "wordtell")["metadata"]["managedFields"]}
    assert managers == {HELM}
    assert [line.split()[:2] for line in wordtell_deploy("history").out.splitlines()[1:]] == [
        ["1", "superseded"], ["2", "deployed"]
    ]  # fmt: skip


def test_a_taken_over_release_comes_back_if_the_first_upgrade_fails(wordtell_deploy: Deploy, server: ApiServer) -> None:
    old_release(server, "{{ .Values.nothing }}")
    controllers.fail_for(server, "nopull")
    done = wordtell_deploy("apply", "--set", "image.tag=nopull,greeting=other")
    assert "rolled back to revision 1" in done.err
    assert existing(server, "configmaps", "wordtell")["data"] == {"greeting": "{{ .Values.nothing }}"}
    assert server.find("configmaps", "gone") is not None


def test_a_take_over_that_was_cut_off_begins_again(wordtell_deploy: Deploy, server: ApiServer) -> None:
    """And never ends in Helm's uninstalling what serves."""
    old_release(server, "hello")
    fault = Refused(500, "InternalError", "etcdserver: request timed out")
    server.scripted.append(("PATCH", "/services/wordtell$", fault))
    assert wordtell_deploy("apply").code == 1
    assert server.find("deployments", "wordtell") is not None
    cut = [fault]

    def fail(state: ApiServer, item: Object) -> None:
        if cut and item["kind"] == "ConfigMap":
            state.scripted.append(("PATCH", "/services/wordtell$", cut.pop()))

    server.controllers.append(fail)
    assert wordtell_deploy("apply").code == 1
    assert "failed" in wordtell_deploy("history").out
    done = wordtell_deploy("apply")
    assert done.code == 0, done.err
    assert not [event for event in server.events if event[3] == "DELETED" and event[1] in ("services", "deployments")]


def old_release(server: ApiServer, greeting: str) -> str:
    """What the deployer before Helm left in a cluster; the name of its record."""
    objects = manifests.plain(render.render(render.Order(Release("wordtell", "shop"), chart=CHART)).objects)
    next(item for item in objects if item["kind"] == "ConfigMap")["data"]["greeting"] = greeting
    objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gone", "namespace": "shop"}})
    for item in objects:
        item["metadata"]["labels"] = {"app.kubernetes.io/instance": "wordtell"} | {
            "app.kubernetes.io/managed-by": "wordtell-deploy"
        }
        server.apply(item, "wordtell-deploy")
    packed = base64.b64encode(gzip.compress(json.dumps(objects).encode())).decode()
    labels = {**objects[0]["metadata"]["labels"], "wordtell.dev/revision": "3", "wordtell.dev/state": "deployed"}
    metadata = {"name": "wordtell.deploy.v3", "namespace": "shop", "labels": labels}
    server.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"objects": packed}})
    return "wordtell.deploy.v3"

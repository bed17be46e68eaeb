"""The command, end to end over HTTP."""

from __future__ import annotations

import pytest
import yaml

from tests.deploy import controllers


def test_apply_then_status_then_delete(wordtell_deploy, server) -> None:
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


def test_render_prints_nothing_but_yaml(wordtell_deploy) -> None:
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
def test_a_rollout_that_cannot_work_fails_at_once(wordtell_deploy, server, status, said) -> None:
    server.controllers[:] = [controllers.deployment(status)]
    done = wordtell_deploy("apply", "--timeout", "60")
    assert done.code == 1
    assert said in done.err
    assert done.err.startswith("Deployment/wordtell: ") or done.err.startswith("wordtell-deploy: ")

"""Commands in processes of their own: two at once, killed, interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bento.settings import ROOT
from tests.deploy import controllers
from tests.deploy.conftest import CHART


def test_two_applies_at_once(wordtell_deploy, server, kubeconfig) -> None:
    """Row 7."""
    finished(kubeconfig, "apply")
    server.controllers[:] = [controllers.deployment(controllers.waiting("ContainerCreating"))]
    with other(kubeconfig, "apply", "--set", "greeting=first") as first:
        until(lambda: server.find("configmaps", "wordtell")["data"] == {"greeting": "first"})
        until(lambda: (server.find("secrets", "sh.helm.release.v1.wordtell.v2") or {"metadata": {"labels": {}}})
              ["metadata"]["labels"].get("status") == "deployed")  # fmt: skip
        done = wordtell_deploy("apply", "--set", "greeting=second")
        assert done.code == 1
        assert "another command is at work on wordtell (revision 2, since " in done.err
        controllers.deployment()(server, server.find("deployments", "wordtell"))
        _, err = first.communicate(timeout=20)
        assert first.returncode == 0, err
    finished(kubeconfig, "apply", "--set", "greeting=second", "--no-wait")


def test_of_two_applies_in_the_same_moment_one_is_told(server, kubeconfig) -> None:
    """Row 7, without a head start: neither rolls the other back."""
    finished(kubeconfig, "apply")
    server.controllers[:] = [controllers.deployment(controllers.waiting("ContainerCreating"))]
    with (
        other(kubeconfig, "apply", "--set", "greeting=a") as one,
        other(kubeconfig, "apply", "--set", "greeting=b") as two,
    ):
        until(lambda: one.poll() is not None or two.poll() is not None)
        loser, winner, wanted = (one, two, "b") if one.poll() is not None else (two, one, "a")
        _, err = loser.communicate(timeout=20)
        assert loser.returncode == 1
        assert "another command is at work" in err
        controllers.deployment()(server, server.find("deployments", "wordtell"))
        out, err = winner.communicate(timeout=20)
        assert winner.returncode == 0, err
    assert "revision 2: ready" in out
    assert server.find("configmaps", "wordtell")["data"] == {"greeting": wanted}


@pytest.mark.parametrize("there_before", [True, False])
def test_a_killed_apply_is_told_and_mended(server, wordtell_deploy, kubeconfig, there_before) -> None:
    """What no program can catch: Helm's record stays open."""
    if there_before:
        finished(kubeconfig, "apply")
    revision = 2 if there_before else 1

    def slow(_state, item) -> None:
        if item["kind"] == "ConfigMap":
            process.kill()
            time.sleep(0.3)

    server.controllers.append(slow)
    with other(kubeconfig, "apply") as process:
        process.wait(20)
        process.communicate()
    server.controllers.remove(slow)
    done = wordtell_deploy("apply")
    assert f"another command is at work on wordtell (revision {revision}, since " in done.err
    finished(kubeconfig, *(["rollback"] if there_before else ["delete", "--yes"]))
    finished(kubeconfig, "apply")


def test_a_killed_delete_is_told_and_mended(server, wordtell_deploy, kubeconfig, monkeypatch) -> None:
    """Row 2's kind: Helm's record says that it is being uninstalled, and Helm upgrades no such release."""
    finished(kubeconfig, "apply")
    remove = server.remove

    def slow(key) -> None:
        if key[1] == "configmaps":
            process.kill()
            time.sleep(0.3)
        remove(key)

    monkeypatch.setattr(server, "remove", slow)
    with other(kubeconfig, "delete", "--yes") as process:
        process.wait(20)
        process.communicate()
    assert "another command is at work on wordtell (revision 1, since " in wordtell_deploy("apply").err
    assert "uninstalling" in wordtell_deploy("status").out
    finished(kubeconfig, "delete", "--yes")
    finished(kubeconfig, "apply")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_interrupted_apply_says_so_and_is_taken_back(server, kubeconfig, number) -> None:
    """Row 15; and the process is called `helm`, whose fields are Helm's."""
    finished(kubeconfig, "apply")
    server.controllers[:] = [controllers.deployment(controllers.waiting("ContainerCreating"))]
    with other(kubeconfig, "apply", "--set", "greeting=first") as process:
        until(lambda: server.find("configmaps", "wordtell")["data"] == {"greeting": "first"})
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "interrupted [rolled back to revision 1, as revision 3]" in err
    assert server.find("configmaps", "wordtell")["data"] == {"greeting": "hello"}
    managers = {request.query["fieldManager"] for request in server.requests if "apply-patch" in request.content}
    assert managers == {"helm"}


def other(kubeconfig: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(ROOT)}
    chart = ["--chart", str(CHART)] if arguments[0] == "apply" else []
    # Whoever runs these tests by `nohup` ignores SIGHUP, and so would the command.
    at_a_terminal = ["env", "--default-signal=HUP"]
    command = [*at_a_terminal, sys.executable, "-m", "deploy", *arguments, *chart]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finished(kubeconfig: Path, *arguments: str) -> None:
    with other(kubeconfig, *arguments) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


def until(done) -> None:
    """Wait for what another process does."""
    for _ in range(1000):
        if done():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to that")

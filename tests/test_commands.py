"""Every shell block of the README and of the tutorial is run, in order, as a reader would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bento.settings import ROOT
from tests.commands import Shell, blocks
from tests.deploy import controllers
from tests.deploy.api_server import ApiServer
from tests.deploy.conftest import node

# Runs this test.
NOT_HERE = {"make test"}


@pytest.fixture
def cluster() -> Iterator[ApiServer]:
    """A cluster in which pods are ready at once, with a namespace and a node that two pods fit on."""
    state = ApiServer(controllers=[controllers.deployment()])
    state.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    state.put(node(cpu="32", **{"feature.node.kubernetes.io/cpu-cpuid.AVX512VNNI": "true"}))
    stop = state.start()
    yield state
    stop()


@pytest.mark.parametrize("document", ["README.md", "docs/tutorial.md"])
def test_every_command_works(document: str, cluster: ApiServer, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(cluster.kubeconfig())
    commands = [command for block in blocks(ROOT / document) if not block.needs for command in block.commands]
    assert commands
    folder = tmp_path / "clone"
    folder.mkdir()
    with Shell(folder, KUBECONFIG=str(kubeconfig)) as shell:
        cluster.backends["3000"] = shell.port
        for command in commands:
            if command not in NOT_HERE:
                printed = shell.run(command)
                if command.startswith("curl") and "predict" in command:
                    answer = json.loads(printed)
                    assert answer["probabilities"], printed
                    # The tutorial's text of three words, outside the lengths that it calibrated.
                    assert all(one["abstained"] for one in answer.get("summary", ())), printed


@pytest.mark.parametrize("document", ["README.md", "docs/tutorial.md"])
def test_what_is_not_run_here_needs_docker(document: str) -> None:
    needed = [block for block in blocks(ROOT / document) if block.needs]
    assert {block.needs for block in needed} == {"docker"}
    assert all(block.commands[0].startswith("make image") for block in needed)  # .ci/run does

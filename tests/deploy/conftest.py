"""A cluster over HTTP, and the deployer's command against it."""

from __future__ import annotations

import contextlib
import io
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy import cli, waiting
from deploy.types import Object
from tests.deploy import controllers
from tests.deploy.api_server import ApiServer

CHART = Path(__file__).parent / "chart"
NEEDS = "the deployer's dependencies: pip install 'wordtell[deploy]'"


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Deploy = Callable[..., Done]


def node(name: str = "big", cpu: str = "16", memory: str = "64Gi", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {},
        "status": {"allocatable": {"cpu": cpu, "memory": memory}, "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def existing(server: ApiServer, plural: str, name: str) -> Object:
    """As `server.find`, for an object that must be there."""
    found = server.find(plural, name)
    assert found is not None, f"{plural}/{name}"
    return found


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """A cluster with a namespace and a node that is large enough."""
    state = ApiServer(controllers=[controllers.deployment()])
    state.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    state.put(node(**{"feature.node.kubernetes.io/cpu-cpuid.AVX512VNNI": "true"}))
    stop = state.start()
    yield state
    stop()


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    file.write_text(server.kubeconfig())
    return file


@pytest.fixture
def cluster(kubeconfig: Path) -> Any:
    pytest.importorskip("kubernetes", reason=NEEDS)
    from deploy.cluster import connect  # noqa: PLC0415  # the extra may not be installed

    return connect(kubeconfig)


@pytest.fixture
def wordtell_deploy(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Deploy:
    """Run the command as a shell would."""
    pytest.importorskip("kubernetes", reason=NEEDS)
    pytest.importorskip("helm_python", reason=NEEDS)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr(waiting, "POLL_S", 0.02)

    def run(*arguments: str) -> Done:
        if arguments[0] in {"render", "preflight", "apply"} and "--chart" not in arguments:
            arguments = (*arguments, "--chart", str(CHART))
        monkeypatch.setattr("sys.argv", ["wordtell-deploy", *arguments])
        message = io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(message):
            try:
                cli.run()  # main() first starts the process anew; see test_a_process_of_its_own
                code: Any = 0
            except SystemExit as exit_:
                code = exit_.code
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        err = message.getvalue()
        if isinstance(code, str):  # the interpreter prints it, and exits with 1
            err, code = f"{err}{code}\n", 1
        return Done(code or 0, out.getvalue(), err)

    return run

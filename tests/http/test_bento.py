"""What ships is what is tested: the Bento that bentofile.yaml builds serves from another folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bento.settings import ROOT
from tests.http.server import Server, environment, serving_python


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a freshly built Bento, in a store of its own."""
    home = tmp_path_factory.mktemp("store")
    subprocess.run(
        [serving_python(), "-m", "bentoml", "build", str(ROOT)],
        env=environment({"BENTOML_HOME": str(home)}),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (folder,) = (path.parent for path in home.glob("bentos/wordtell/*/bento.yaml"))
    return folder


def test_it_holds_what_serving_needs_and_no_more(built: Path) -> None:
    top = {path.name for path in (built / "src").iterdir()}
    assert top == {
        "bento",
        "bentofile.yaml",
        "bulk",
        "LICENSE",
        "models",
        "README.md",
        "requirements-sbom.lock",
        "requirements.lock",
        "service.py",
        "shared_config.yaml",
    }
    assert (built / "src" / "bento" / "api" / "page" / "index.html").exists()
    assert not list((built / "src").rglob("*.pyc"))


def test_it_serves_from_another_folder(built: Path, tmp_path: Path) -> None:
    with Server(tmp_path / "log", {}, target=built) as server:
        response = server.client.post("/api/v1/predict/sentences", json={"sentences": ["We meet at a crossroads."]})
        assert response.status_code == 200
        assert len(response.json()["probabilities"][0]) == 5
        assert f"from {built / 'src' / 'models'}" in server.log.read_text()

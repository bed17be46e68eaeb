"""A server in an environment as clusters and compose files make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bento.artifact import ModelFolder
from tests import kubelet
from tests.http.server import Server

PATH = "/api/v1/predict/sentences"


def test_a_service_beside_it_an_odd_name_a_lone_key_and_empty_variables(
    tmp_path: Path, fake_folder: ModelFolder
) -> None:
    settings = {
        **kubelet.service_variables("wordtell", 80, "tcp", "http"),
        **kubelet.service_variables("wordtell-api", 3000, "tcp", "web"),
        "WORDTELL_CONFIG": "",
        "WORDTELL_ISA": "",
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_MODEL__MAX_TOKENS": "",
        "WORDTELL_MODEL__NAME": "detector # blue",
        "WORDTELL_API__MAX_WORDS": "",
        "WORDTELL_API__KEYS": "s3cr3t-key-of-prod",
        "OMP_NUM_THREADS": "",
    }
    with Server(tmp_path / "log", settings) as server:
        assert server.client.get("/v2/models/detector%20%23%20blue").json()["name"] == "detector # blue"
        statuses = [
            server.client.post(PATH, json={"sentences": ["a"]}, headers={"Authorization": f"Bearer {key}"}).status_code
            for key in ("s3cr3t-key-of-prod", "s3cr3t")
        ]
        assert statuses == [200, 401]
    assert "serving detector # blue-fp32-" in server.log.read_text()
    assert "s3cr3t" not in server.log.read_text()


@pytest.mark.parametrize("name", ["1.10", "no", "007", "null"])
def test_a_folder_and_a_model_may_have_any_name(tmp_path: Path, fake_folder: ModelFolder, name: str) -> None:
    (tmp_path / name).symlink_to(fake_folder.path)
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": name,  # relative to where the server is started
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_MODEL__NAME": name,
    }
    with Server(tmp_path / "log", settings) as server:
        assert server.client.get(f"/v1/models/{name}").json() == {"name": name, "ready": True}

"""The clients of KServe and Triton, as they come, against a real server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import clients
from tests.http.server import Server

TEXTS = ["the a", "words of another text", "é \U0001f600"]


@pytest.fixture(scope="module")
def found(server: Server) -> dict[str, Any]:
    """What both clients saw."""
    url = str(server.client.base_url).rstrip("/")
    (version,) = server.client.get("/v2/models/fake").json()["versions"]
    return dict(clients.run("tests/http/clients.py", url, "fake", version, given=TEXTS))


@pytest.fixture(scope="module")
def scores(server: Server) -> list[list[float]]:
    return list(server.client.post("/api/v1/predict/sentences", json={"sentences": TEXTS}).json()["probabilities"])


@pytest.mark.parametrize("client", ["kserve", "triton"])
def test_each_client_finds_the_server_and_its_model(found: dict[str, Any], client: str) -> None:
    said = found[client]
    assert (said["live"], said["ready"], said["model_ready"], said["other_ready"]) == (True, True, True, False)
    assert (said["version_ready"], said["other_version_ready"]) == (True, False)


@pytest.mark.parametrize("client", ["kserve", "triton"])
def test_each_client_gets_the_scores(found: dict[str, Any], scores: list[list[float]], client: str) -> None:
    answers = [answer for name, answer in found[client].items() if name.startswith("binary=")]
    assert len(answers) == {"kserve": 4, "triton": 8}[client]
    for answer in answers:
        assert answer["id"] == "mine"
        assert answer["types"] == {"probabilities": "float32", "word_counts": "int64"}
        assert answer["word_counts"] == [len(words) for words in scores]
        assert np.allclose(answer["probabilities"], np.concatenate(scores), atol=1e-7)


def test_kserves_client_speaks_version_1(found: dict[str, Any], scores: list[list[float]]) -> None:
    assert found["kserve"]["v1_ready"] is True
    assert found["kserve"]["v1"] == {"predictions": scores}


def test_each_client_shows_its_user_our_message(found: dict[str, Any]) -> None:
    assert "inputs has 0 tensors: send one, of all texts" in found["kserve"]["error"]
    assert found["triton"]["error"] == "there is no model 'other' here: this server serves 'fake'"
    assert found["triton"]["version_error"].startswith("there is no version '1' here: this server serves 'fake-fp32-")


def test_triton_reads_the_metadata(found: dict[str, Any]) -> None:
    assert found["triton"]["server"]["name"] == "wordtell"
    assert found["triton"]["version"] == found["triton"]["model"]
    assert found["triton"]["model"]["inputs"] == [{"name": "texts", "datatype": "BYTES", "shape": [-1]}]

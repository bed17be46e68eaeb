"""The Open Inference Protocol, version 2 and 1, against a real server: what it says is what predict says."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bento import settings
from bento.api import app
from bento.api.edge import Edge
from bento.api.lifecycle import Lifecycle
from bento.artifact import ModelFolder
from tests.http.server import Server, long_texts

INFER = "/v2/models/fake/infer"
PREDICT = "/v1/models/fake:predict"
TEXTS = ["the a", "words of another text", "é\u0301 \U0001f600"]


def tensor(texts: list[Any], **more: Any) -> dict[str, Any]:
    return {"name": "texts", "shape": [len(texts)], "datatype": "BYTES", "data": texts, **more}


def packed(texts: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def binary(head: dict[str, Any], tail: bytes, length: int | None = None) -> dict[str, Any]:
    """The arguments of a post with the tensor's bytes after the JSON."""
    encoded = json.dumps(head).encode()
    return {"content": encoded + tail, "headers": {"Inference-Header-Content-Length": str(length or len(encoded))}}


def binary_tensor(tail: bytes, count: int) -> dict[str, Any]:
    return {"name": "t", "shape": [count], "datatype": "BYTES", "parameters": {"binary_data_size": len(tail)}}


def expected(server: Server) -> list[list[float]]:
    response = server.client.post("/api/v1/predict/sentences", json={"sentences": TEXTS})
    return list(response.json()["probabilities"])


def fault(response: httpx.Response) -> str:
    """The message, after a look at the error's shape."""
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Request-Id"]
    body = response.json()
    assert body.keys() == {"error"}
    assert isinstance(body["error"], str)
    return str(body["error"])


def test_the_servers_own_word(server: Server) -> None:
    about = server.client.get("/v2").json()
    assert (about["name"], about["extensions"]) == ("wordtell", ["binary_tensor_data"])
    assert server.client.get("/v2/health/live").json() == {"live": True}
    assert server.client.get("/v2/health/ready").json() == {"ready": True}
    model = server.client.get("/v2/models/fake").json()
    assert model["name"] == "fake"
    assert model["inputs"] == [{"name": "texts", "datatype": "BYTES", "shape": [-1]}]
    assert {output["name"]: output["datatype"] for output in model["outputs"]} == {
        "probabilities": "FP32",
        "word_counts": "INT64",
    }
    (version,) = model["versions"]
    assert server.client.get(f"/v2/models/fake/versions/{version}").json() == model
    for path in ("/v2/models/fake/ready", f"/v2/models/fake/versions/{version}/ready", "/v1/models/fake"):
        assert server.client.get(path).json() == {"name": "fake", "ready": True}
    assert server.client.get("/v1/models").json() == {"models": ["fake"]}


@pytest.mark.parametrize("shape", [[3], [3, 1], [1, 3]])
def test_infer_answers_what_predict_does(server: Server, shape: list[int]) -> None:
    data: Any = {1: TEXTS, 3: [[text] for text in TEXTS]}[shape[0]] if len(shape) == 2 else TEXTS
    response = server.client.post(INFER, json={"id": "one", "inputs": [tensor(data, shape=shape)]})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["id"], answer["model_name"]) == ("one", "fake")
    assert answer["model_version"].startswith("fake-fp32-")
    probabilities, counts = answer["outputs"]
    assert probabilities["data"] == [value for words in expected(server) for value in words]
    assert counts["data"] == [len(text.split()) for text in TEXTS]
    assert (probabilities["shape"], counts["shape"]) == ([len(probabilities["data"])], [3])
    assert (probabilities["datatype"], counts["datatype"]) == ("FP32", "INT64")


def test_infer_in_binary_both_ways(server: Server) -> None:
    tail = packed([text.encode() for text in TEXTS])
    head = {"inputs": [binary_tensor(tail, 3)], "parameters": {"binary_data_output": True}}
    response = server.client.post(INFER, **binary(head, tail))
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/octet-stream"
    end = int(response.headers["Inference-Header-Content-Length"])
    answer = json.loads(response.content[:end])
    assert "id" not in answer
    assert not any("data" in output for output in answer["outputs"])
    sizes = [output["parameters"]["binary_data_size"] for output in answer["outputs"]]
    assert sum(sizes) == len(response.content) - end
    flat = [value for words in expected(server) for value in words]
    assert np.frombuffer(response.content[end : end + sizes[0]], "<f4").tolist() == np.array(flat, np.float32).tolist()
    assert np.frombuffer(response.content[end + sizes[0] :], "<i8").tolist() == [len(text.split()) for text in TEXTS]


def test_an_output_is_answered_as_it_was_asked_for(server: Server) -> None:
    def outputs(*wanted: dict[str, Any], **more: Any) -> list[Any]:
        response = server.client.post(INFER, json={"inputs": [tensor(TEXTS)], "outputs": wanted, **more})
        end = int(response.headers.get("Inference-Header-Content-Length", len(response.content)))
        return list(json.loads(response.content[:end])["outputs"])

    (only,) = outputs({"name": "word_counts"})
    assert only["data"] == [2, 4, 2]
    plain, counts = outputs({"name": "word_counts", "parameters": {"binary_data": True}}, {"name": "probabilities"})
    assert (plain["name"], "data" in plain, "data" in counts) == ("probabilities", True, False)
    everywhere = {"parameters": {"binary_data_output": True}}
    (refused,) = outputs({"name": "word_counts", "parameters": {"binary_data": False}}, **everywhere)
    assert "data" in refused


def test_version_1_answers_what_predict_does(server: Server) -> None:
    response = server.client.post(PREDICT, json={"instances": TEXTS})
    assert (response.status_code, response.json()) == (200, {"predictions": expected(server)})


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("not JSON", INFER, {"content": b"{"}, 422, "not JSON"),
    ("no inputs", INFER, {"json": {}}, 422, "inputs is missing"),
    ("two tensors", INFER, {"json": {"inputs": [tensor(["a"])] * 2}}, 422, "inputs has 2 tensors: send one"),
    ("numbers", INFER, {"json": {"inputs": [tensor(["a"], datatype="FP32")]}}, 422, "send BYTES"),
    ("a number within", INFER, {"json": {"inputs": [tensor(["a", 3])]}}, 422, "inputs[0][1] must be a text"),
    ("another shape", INFER, {"json": {"inputs": [tensor(["a"], shape=[2])]}}, 422, "has 1 texts, its shape says 2"),
    ("a shape below 0", INFER, {"json": {"inputs": [tensor(["a"], shape=[-1])]}}, 422, "inputs[0].shape[0]"),
    ("nine dimensions", INFER, {"json": {"inputs": [tensor(["a"], shape=[1] * 9)]}}, 422, "inputs[0].shape"),
    ("nothing", INFER, {"json": {"inputs": [tensor([])]}}, 422, "inputs[0] is empty"),
    ("no data", INFER, {"json": {"inputs": [tensor(["a"], data=None)]}}, 422, "inputs[0].data is missing"),
    ("an unknown output", INFER, {"json": {"inputs": [tensor(["a"])], "outputs": [{"name": "x"}]}}, 422, "known are"),
    ("a blank text", INFER, {"json": {"inputs": [tensor(["a", " "])]}}, 422, "inputs[0][1] is blank"),
    ("121 texts", INFER, {"json": {"inputs": [tensor(["a"] * 121)]}}, 400, "inputs[0] has 121 texts; the limit is 120"),
    ("351 words", INFER, {"json": {"inputs": [tensor(["a " * 351])]}}, 400, "inputs[0][0] has 351 words"),
    ("a huge body", INFER, {"content": b" " * (1 << 23)}, 413, "over the limit"),
    ("cut short", INFER, binary({"inputs": [binary_tensor(b"\4\0\0\0abc", 1)]}, b"\4\0\0\0abc"), 422, "longer than"),
    ("half a length", INFER, binary({"inputs": [binary_tensor(b"\4\0", 1)]}, b"\4\0"), 422, "longer than"),
    (
        "bytes too many",
        INFER,
        binary({"inputs": [binary_tensor(b"", 1)]}, b"\1\0\0\0a"),
        422,
        "5 bytes follow the JSON",
    ),
    ("not UTF-8", INFER, binary({"inputs": [binary_tensor(b"\1\0\0\0\xff", 1)]}, b"\1\0\0\0\xff"), 422, "not UTF-8"),
    (
        "a header of text",
        INFER,
        {"content": b"{}", "headers": {"Inference-Header-Content-Length": "x"}},
        422,
        "must be",
    ),
    ("a header too far", INFER, binary({}, b"", 99), 422, "at most the body's"),
    ("another model", "/v2/models/other/infer", {"json": {}}, 404, "there is no model 'other' here"),
    ("another model, v1", "/v1/models/other:predict", {"json": {}}, 404, "this server serves 'fake'"),
    ("no instances", PREDICT, {"json": {}}, 422, "instances is missing"),
    ("not a list", PREDICT, {"json": {"instances": "a"}}, 422, "instances must be a list"),
    ("a list", PREDICT, {"json": ["a"]}, 422, "must be an object"),
    ("121 instances", PREDICT, {"json": {"instances": ["a"] * 121}}, 400, "instances has 121 texts"),
    ("351 words, v1", PREDICT, {"json": {"instances": ["a", "a " * 351]}}, 400, "instances[1] has 351 words"),
    ("no such verb", "/v1/models/fake:explain", {"json": {}}, 405, "does not answer POST"),
    ("another version", "/v2/models/fake/versions/1/infer", {"json": {}}, 404, "there is no version '1' here: this"),
    ("another model's version", "/v2/models/a/versions/1/infer", {"json": {}}, 404, "there is no model 'a' here"),
    ("the models of version 2", "/v2/models", {"json": {}}, 404, "there is no /v2/models"),
    ("no such path", "/v2/repository/index", {"json": {}}, 404, "there is no /v2/repository/index"),
]


@pytest.mark.parametrize(
    ("path", "request_", "status", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_a_fault_has_the_protocols_shape(
    server: Server, path: str, request_: dict[str, Any], status: int, says: str
) -> None:
    response = server.client.post(path, **request_)
    message = fault(response)
    assert response.status_code == status
    assert says in message


def test_unknown_models_are_not_ready(server: Server) -> None:
    for path in ("/v2/models/other", "/v2/models/other/ready", "/v1/models/other"):
        response = server.client.get(path)
        assert (response.status_code, fault(response)) == (
            404,
            "there is no model 'other' here: this server serves 'fake'",
        )


def test_unknown_versions_are_not_ready(server: Server) -> None:
    (version,) = server.client.get("/v2/models/fake").json()["versions"]
    for path in ("/v2/models/fake/versions/1", "/v2/models/fake/versions/1/ready"):
        response = server.client.get(path)
        assert (response.status_code, fault(response)) == (
            404,
            f"there is no version '1' here: this server serves {version!r}",
        )
    assert server.client.get("/v2/models").status_code == 404  # the protocol has no such path


def test_infer_by_version_answers_what_infer_does(server: Server) -> None:
    (version,) = server.client.get("/v2/models/fake").json()["versions"]
    body = {"id": "one", "inputs": [tensor(TEXTS)]}
    answers = [server.client.post(path, json=body) for path in (INFER, f"/v2/models/fake/versions/{version}/infer")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    metrics = server.client.get("/metrics").text
    assert 'route="/v2/models/{name}/versions/{version}/infer",status="200"' in metrics


def test_keys_and_deadlines_hold_here_too(tmp_path: Path, fake_folder: ModelFolder) -> None:
    environ = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_MODEL__NAME": "renamed",
        "WORDTELL_API__KEYS": "[first-of-two]",
        "WORDTELL_API__TIMEOUT_S": "0.001",
    }
    late = long_texts(120, "late")
    bodies = {"/v2/models/renamed/infer": {"inputs": [tensor(late)]}, "/v1/models/renamed:predict": {"instances": late}}
    with Server(tmp_path / "log", environ) as server:
        for path, body in bodies.items():
            refused = server.client.post(path, json=body)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "no valid API key" in fault(refused)
            slow = server.client.post(path, json=body, headers={"Authorization": "Bearer first-of-two"})
            assert slow.status_code == 504
            assert "api.timeout_s" in fault(slow)
        assert server.client.get("/v2/health/ready").status_code == 200


def test_the_metrics_count_by_template(server: Server) -> None:
    for path in (PREDICT, INFER):
        server.client.post(path, json={"instances": ["a"], "inputs": [tensor(["a"])]})
    metrics = server.client.get("/metrics").text
    for route in ("/v1/models/{name}:predict", "/v2/models/{name}/infer"):
        assert f'wordtell_http_requests_total{{route="{route}",status="200"}}' in metrics
    assert "models/fake" not in metrics


def test_nothing_is_ready_while_the_model_loads() -> None:
    """The application around a detector that is not there yet."""
    application = Edge(app.create(Lifecycle(settings.Settings())))

    async def ask(method: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://here") as client:
            return await client.request(method, path, json={})

    assert asyncio.run(ask("GET", "/v2/health/live")).status_code == 200
    infer, version = "/v2/models/x/infer", "/v2/models/x/versions/1"
    asked = ["/v2/health/ready", "/v2/models/x/ready", version, f"{version}/ready", "/v1/models", "/v1/models/x"]
    scored = [infer, f"{version}/infer", "/v1/models/x:predict"]
    for method, path in [*(("GET", path) for path in asked), *(("POST", path) for path in scored)]:
        response = asyncio.run(ask(method, path))
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert "still loading" in fault(response)

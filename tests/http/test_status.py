"""Probes, health, metrics, request ids, and the OpenAPI page, against a real server."""

from __future__ import annotations

import re

import pytest

from bento.api import static
from tests.http.server import Server


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 200


def test_health(server: Server) -> None:
    health = server.client.get("/api/v1/health").json()
    assert health.pop("model_version").startswith("fake-fp32-")
    assert health == {
        "status": "healthy",
        "model_loaded": True,
        "device": "cpu",
        "engine": "onnxruntime",
        "precision": "fp32",
        "jobs": "ready",
    }


PATHS = ["/livez", "/readyz", "/metrics", "/api/v1/health", "/", "/docs.json", "/nowhere", "/static_content/index.css"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_id_that_was_sent(server: Server, path: str) -> None:
    assert server.client.get(path, headers={"X-Request-Id": "abc-1"}).headers.get_list("X-Request-Id") == ["abc-1"]


@pytest.mark.parametrize("given", [None, b"", b"a" * 129, b"with space", "caf\u00e9".encode("latin-1")])
def test_an_id_is_made_where_none_or_a_bad_one_was_sent(server: Server, given: bytes | None) -> None:
    headers = {} if given is None else {b"X-Request-Id": given}
    made = [server.client.get("/livez", headers=headers).headers["X-Request-Id"] for _ in range(2)]
    assert all(len(one) == 32 for one in made)
    assert made[0] != made[1]


def values(server: Server) -> dict[str, float]:
    lines = server.client.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_metrics_count_what_was_done(server: Server) -> None:
    path = "/api/v1/predict/sentences"
    before = values(server)
    server.client.post(path, json={"sentences": ["one two three", "four " * 100]})
    server.client.post(path, json={"sentences": []})
    server.client.get("/some/path/that/is/not/there")
    after = values(server)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("wordtell_texts_total") == 2
    assert grown("wordtell_words_total") == 103
    assert grown("wordtell_windows_total") > 2
    assert grown("wordtell_tokens_total") > 103
    assert grown('wordtell_rejections_total{code="invalid_request"}') == 1
    assert grown(f'wordtell_http_requests_total{{route="{path}",status="200"}}') == 1
    assert grown(f'wordtell_http_requests_total{{route="{path}",status="422"}}') == 1
    assert grown('wordtell_stage_seconds_count{stage="run"}') == grown("wordtell_windows_total")
    assert after["wordtell_queue_tokens"] == 0
    assert after["wordtell_lanes_busy"] == 0
    assert after["wordtell_lanes"] >= 1
    assert not [name for name in after if "/some/path" in name]


def test_no_text_is_logged(server: Server) -> None:
    for sentences in (["unmistakable"], ["unmistakable " * 351], ["unmistakable", ""]):
        server.client.post("/api/v1/predict/sentences", json={"sentences": sentences})
    assert "/api/v1/predict/sentences" in server.log.read_text()
    assert "unmistakable" not in server.log.read_text()


def test_the_log_says_which_lanes_and_why(server: Server) -> None:
    assert "lanes: " in server.log.read_text()
    assert "Cores(affinity=" in server.log.read_text()


def test_the_openapi_page_shows_every_route_with_examples(server: Server) -> None:
    spec = server.client.get("/docs.json").json()
    assert set(spec["paths"]) == {
        "/api/v1/predict/sentences",
        "/api/v1/predict/document",
        "/api/v1/jobs",
        "/api/v1/jobs/{id}",
        "/api/v1/jobs/{id}/results",
        "/api/v1/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{name}",
        "/v2/models/{name}/ready",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}",
        "/v2/models/{name}/versions/{version}/ready",
        "/v2/models/{name}/versions/{version}/infer",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/models/{name}:predict",
    }
    assert spec["info"]["title"] == "wordtell"
    predict = spec["paths"]["/api/v1/predict/sentences"]["post"]
    assert set(predict["responses"]) == {"200", "400", "401", "408", "413", "415", "422", "429", "500", "503", "504"}
    body = predict["requestBody"]["content"]["application/json"]["schema"]
    assert body["examples"]
    assert (body["properties"]["sentences"]["minItems"], body["properties"]["sentences"]["maxItems"]) == (1, 120)
    for name in ("PredictResponse", "Health", "ErrorResponse", "ProtocolError", "InferRequest", "Instances"):
        assert spec["components"]["schemas"][name]["examples"]


def test_the_example_of_the_page_is_a_request_that_works(server: Server) -> None:
    spec = server.client.get("/docs.json").json()
    post = spec["paths"]["/api/v1/predict/sentences"]["post"]
    (example,) = post["requestBody"]["content"]["application/json"]["schema"]["examples"]
    assert server.client.post("/api/v1/predict/sentences", json=example).status_code == 200
    for path, name in (("/v2/models/{name}/infer", "InferRequest"), ("/v1/models/{name}:predict", "Instances")):
        body = spec["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body == {"$ref": f"#/components/schemas/{name}"}
        (example,) = spec["components"]["schemas"][name]["examples"]
        assert server.client.post(path.format(name="fake"), json=example).status_code == 200


def test_every_reference_of_the_page_leads_somewhere(server: Server) -> None:
    text = server.client.get("/docs.json").text
    schemas = server.client.get("/docs.json").json()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= schemas.keys()
    assert not re.search(r'"#/(?!components/schemas/)', text)


def test_the_pages_load_nothing_from_elsewhere(server: Server) -> None:
    docs = server.client.get("/docs").text
    assert "docs.json" in docs
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert asset in docs
        assert server.client.get(f"/static_content/{asset}").status_code == 200
    page = server.client.get("/")
    files = [server.client.get(f"/page/{file.name}") for file in static.FOLDER.iterdir() if file.suffix != ".html"]
    assert {answer.status_code for answer in files} == {200}
    for answer in (page, *files):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    for text in (docs, page.text, *(answer.text for answer in files)):
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_a_file_of_the_page_is_sent_again_only_when_it_has_changed(server: Server) -> None:
    first = server.client.get("/page/app.js")
    again = server.client.get("/page/app.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("index.html", "none.js", "..%2fstatic.py", "%2e%2e/static.py"):
        assert server.client.get(f"/page/{name}").status_code == 404

"""What any HTTP client may send: HEAD, a slash at the end, a page of another origin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bento.artifact import ModelFolder
from tests.http.server import Server

PATH = "/api/v1/predict/sentences"
BODY = {"sentences": ["the a"]}
GETS = [
    "/",
    "/docs.json",
    "/livez",
    "/readyz",
    "/healthz",
    "/metrics",
    "/api/v1/health",
    "/v1/models",
    "/v1/models/fake",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/fake",
    "/v2/models/fake/ready",
    "/v2/models/other",
    "/static_content/swagger-ui.css",
    "/nowhere",
]
POSTS = [PATH, "/v2/models/fake/infer", "/v1/models/fake:predict"]


def told(response: httpx.Response) -> dict[str, str]:
    """The headers that do not differ between two answers that are the same."""
    own = ("date", "x-request-id", *(["content-length"] if response.url.path.strip("/") == "metrics" else []))
    return {name: value for name, value in response.headers.items() if name not in own}


@pytest.mark.parametrize("path", GETS)
def test_head_answers_as_get_does_but_for_the_body(server: Server, path: str) -> None:
    got, headed = server.client.get(path), server.client.head(path, headers={"X-Request-Id": "me"})
    assert headed.status_code == got.status_code
    assert told(headed) == told(got)
    assert headed.headers["X-Request-Id"] == "me"
    assert int(headed.headers["Content-Length"]) > 0
    assert (len(headed.content), len(got.content) > 0) == (0, True)


def test_head_of_a_version(server: Server) -> None:
    (version,) = server.client.get("/v2/models/fake").json()["versions"]
    for end in ("", "/ready"):
        assert server.client.head(f"/v2/models/fake/versions/{version}{end}").status_code == 200
    assert server.client.head("/v2/models/fake/versions/1").status_code == 404


def test_a_connection_goes_on_after_head(server: Server) -> None:
    """A body too many would be taken for the next answer."""
    with httpx.Client(base_url=server.client.base_url, limits=httpx.Limits(max_connections=1)) as client:
        answers = [client.head("/api/v1/health"), client.get("/v2"), client.head("/nowhere"), client.get("/v2")]
        assert [answer.status_code for answer in answers] == [200, 200, 404, 200]
        assert answers[1].json() == answers[3].json()


@pytest.mark.parametrize("path", [path for path in GETS if path not in ("/nowhere", "/v2/models/other")])
def test_allow_lists_head_wherever_it_lists_get(server: Server, path: str) -> None:
    response = server.client.delete(path)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert "send GET, HEAD" in response.text


@pytest.mark.parametrize("path", POSTS)
def test_head_of_what_only_takes_post(server: Server, path: str) -> None:
    headed = server.client.head(path)
    if path.startswith("/v1"):  # GET /v1/models/{name} is a path too, and no model is called so
        assert headed.status_code == 404
    else:
        assert (headed.status_code, headed.headers["Allow"]) == (405, "POST")
    assert server.client.delete(path).headers["Allow"] == "POST"


@pytest.mark.parametrize("end", ["/", "//"])
@pytest.mark.parametrize("path", [path for path in GETS if path != "/"])
def test_a_slash_at_the_end_changes_nothing(server: Server, path: str, end: str) -> None:
    plain, slashed = server.client.get(path), server.client.get(path + end)
    assert slashed.status_code == plain.status_code
    if path not in ("/metrics", "/nowhere"):  # the one counts, the other quotes the path
        assert told(slashed) == told(plain)
        assert slashed.content == plain.content


@pytest.mark.parametrize("path", POSTS)
def test_a_post_with_a_slash_at_the_end_is_answered(server: Server, path: str) -> None:
    tensor = {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["the a"]}
    bodies = {PATH: BODY, "/v1/models/fake:predict": {"instances": ["the a"]}}
    body = bodies.get(path, {"inputs": [tensor]})
    assert server.client.post(f"{path}/", json=body).status_code == 200
    assert server.client.head(f"{path}/").status_code == server.client.head(path).status_code


@pytest.mark.parametrize("path", ["/static_content", "/static_content/", "//evil.example/a", "/v2/models/"])
def test_nothing_redirects(server: Server, path: str) -> None:
    response = server.client.get(f"http://127.0.0.1:{server.port}{path}")
    assert response.status_code == 404
    assert "Location" not in response.headers


ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def open_to(fake_folder: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Open to one origin, with a key."""
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__CORS_ORIGINS": f"[{ORIGIN}, 'http://localhost:5173']",
        "WORDTELL_API__KEYS": "one-lone-key",
    }
    with Server(tmp_path_factory.mktemp("cors") / "log", settings) as server:
        yield server


def preflight(server: Server, origin: str, path: str = PATH, method: str = "POST") -> httpx.Response:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type"}
    return server.client.options(path, headers={"Origin": origin, **asked})


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:5173"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/", "/v2/models/fake/infer", "/nowhere"])
def test_a_preflight_request_needs_no_key(open_to: Server, origin: str, path: str) -> None:
    response = preflight(open_to, origin, path)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert "Origin" in response.headers["Vary"]
    assert response.headers["X-Request-Id"]


@pytest.mark.parametrize("origin", ["https://other.example.com", "http://app.example.com", f"{ORIGIN}.evil", "null"])
def test_another_origin_is_refused(open_to: Server, origin: str) -> None:
    response = preflight(open_to, origin)
    assert response.status_code == 422
    assert response.json()["error"]["field"] == "Origin"
    assert "api.cors_origins" in response.json()["error"]["message"]
    assert "Access-Control-Allow-Origin" not in response.headers
    assert isinstance(preflight(open_to, origin, "/v2/models/fake/infer").json()["error"], str)
    answer = open_to.client.get("/v2", headers={"Origin": origin})
    assert (answer.status_code, "Access-Control-Allow-Origin" in answer.headers) == (200, False)


def test_answers_and_errors_are_shown_to_the_page(open_to: Server) -> None:
    key = {"Authorization": "Bearer one-lone-key"}
    asked = [
        open_to.client.post(PATH, json=BODY, headers={"Origin": ORIGIN, **key}),
        open_to.client.post(PATH, json=BODY, headers={"Origin": ORIGIN}),
        open_to.client.post(PATH, json={}, headers={"Origin": ORIGIN, **key}),
        open_to.client.get("/nowhere", headers={"Origin": ORIGIN}),
        open_to.client.delete("/livez", headers={"Origin": ORIGIN}),
        open_to.client.get("/livez", headers={"Origin": ORIGIN}),
        open_to.client.head("/v2", headers={"Origin": ORIGIN}),
    ]
    assert [answer.status_code for answer in asked] == [200, 401, 422, 404, 405, 200, 200]
    for answer in asked:
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"X-Request-Id", "Retry-After"} <= set(exposed)
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_options_that_is_no_preflight_request(open_to: Server) -> None:
    assert open_to.client.options(PATH).status_code == 405
    assert open_to.client.options(PATH, headers={"Origin": ORIGIN}).status_code == 405


def test_no_origin_may_ask_by_default(server: Server) -> None:
    response = preflight(server, ORIGIN)
    assert response.status_code == 405
    answer = server.client.post(PATH, json=BODY, headers={"Origin": ORIGIN})
    for one in (response, answer):
        assert not [name for name in one.headers if name.startswith("access-control")]


def test_any_origin_may_ask(tmp_path: Path, fake_folder: ModelFolder) -> None:
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__CORS_ORIGINS": "*",
    }
    with Server(tmp_path / "log", settings) as server:
        assert preflight(server, "https://any.example").headers["Access-Control-Allow-Origin"] == "*"
        answer = server.client.post(PATH, json=BODY, headers={"Origin": "https://any.example"})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")

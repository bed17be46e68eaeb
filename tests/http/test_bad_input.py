"""Every fault of a request has its status, its code, its field and a remedy, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bento.artifact import ModelFolder
from tests.http.server import Server, long_texts

PATH = "/api/v1/predict/sentences"


def fault(response: httpx.Response) -> dict[str, str | None]:
    """The error, after a look at its shape."""
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Request-Id"]
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message", "field"}
    return dict(body["error"])


SENTENCES = "sentences"
BAD = [
    ("not JSON", b"sentences", 422, "invalid_request", "body", "not JSON"),
    ("nothing", b"", 422, "invalid_request", "body", "not JSON"),
    ("not UTF-8", b'{"sentences": ["\xff"]}', 422, "invalid_request", "body", "not JSON"),
    ("cut short", b'{"sentences": ["a"', 422, "invalid_request", "body", "not JSON"),
    ("deep", b"[" * 200_000, 422, "invalid_request", "body", "nested too deeply"),
    ("deep inside", b'{"sentences": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 422, "invalid_request", "body", "deeply"),
    ("a list", b'["a"]', 422, "invalid_request", "body", "must be an object"),
    ("null", b"null", 422, "invalid_request", "body", "must be an object"),
    ("no sentences", b"{}", 422, "invalid_request", SENTENCES, "is missing"),
    ("a string", b'{"sentences": "a"}', 422, "invalid_request", SENTENCES, "must be a list"),
    ("a number within", b'{"sentences": ["a", 3]}', 422, "invalid_request", "sentences[1]", "must be a text"),
    ("null within", b'{"sentences": [null]}', 422, "invalid_request", "sentences[0]", "must be a text"),
    ("an unknown field", b'{"sentences": ["a"], "text": 1}', 422, "invalid_request", "text", "not a known field"),
    ("more", b'{"sentences": ["a"], "include": ["offsets", "x"]}', 422, "invalid_request", "include[1]", "are offsets"),
    ("a lone word", b'{"sentences": ["a"], "include": "offsets"}', 422, "invalid_request", "include", "must be a list"),
    ("no include", b'{"sentences": ["a"], "include": null}', 422, "invalid_request", "include", "must be a list"),
    ("a number in it", b'{"sentences": ["a"], "include": [1]}', 422, "invalid_request", "include[0]", "must be a text"),
    ("an empty list", b'{"sentences": []}', 422, "invalid_request", SENTENCES, "at least one text"),
    ("an empty text", b'{"sentences": ["a", ""]}', 422, "invalid_request", "sentences[1]", "is blank"),
    ("a blank text", b'{"sentences": [" \\t\\u00a0"]}', 422, "invalid_request", "sentences[0]", "is blank"),
    ("half a pair", b'{"sentences": ["a", "b \\ud800"]}', 422, "invalid_request", "sentences[1]", "surrogate"),
    ("half a pair, low", b'{"sentences": ["\\udc00"]}', 422, "invalid_request", "sentences[0]", "surrogate"),
    ("half a pair as a key", b'{"\\ud800": 1}', 422, "invalid_request", "body", "string"),
    ("121 texts", json.dumps({SENTENCES: ["a"] * 121}).encode(), 400, "too_many_sentences", SENTENCES, "limit is 120"),
    ("351 words", json.dumps({SENTENCES: ["a", "b " * 351]}).encode(), 400, "too_many_words", "sentences[1]", "350"),
]


@pytest.mark.parametrize(
    ("body", "status", "code", "field", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_a_bad_body(server: Server, body: bytes, status: int, code: str, field: str, says: str) -> None:
    response = server.client.post(PATH, content=body)
    error = fault(response)
    assert (response.status_code, error["code"], error["field"]) == (status, code, field)
    assert says in str(error["message"])


def test_a_body_over_the_limit(server: Server) -> None:
    response = server.client.post(PATH, content=b" " * (4 * 1024 * 1024 + 1))
    assert (response.status_code, fault(response)["code"]) == (413, "body_too_large")
    assert "4194304 bytes" in str(fault(response)["message"])


def test_a_body_over_the_limit_that_does_not_say_its_length(server: Server) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(80):
            yield b" " * 65_536

    response = server.client.post(PATH, content=pieces())
    assert (response.status_code, fault(response)["code"]) == (413, "body_too_large")


def test_a_body_at_the_limit_is_read(server: Server) -> None:
    body = b'{"sentences": ["a"]}'
    response = server.client.post(PATH, content=body + b" " * (4 * 1024 * 1024 - len(body)))
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/api/v2/predict/sentences", 404, "not_found"),
        ("GET", "/static_content/nothing.js", 404, "not_found"),
        ("GET", PATH, 405, "method_not_allowed"),
        ("DELETE", "/api/v1/health", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
    ],
)
def test_a_wrong_path_or_method(server: Server, method: str, path: str, status: int, code: str) -> None:
    response = server.client.request(method, path)
    assert (response.status_code, fault(response)["code"]) == (status, code)
    assert path in str(fault(response)["message"])
    assert (status == 405) == bool(response.headers.get("Allow"))


def test_overload_is_refused_early(tmp_path: Path, fake_folder: ModelFolder) -> None:
    """A backlog limit of one token: while anything waits, a further request is turned away, at once."""
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__MAX_QUEUE_TOKENS": "1",
        "WORDTELL_CPU__LANES": "1",
    }

    async def crowd(server: Server) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=str(server.client.base_url), timeout=120) as client:
            bodies = [{SENTENCES: long_texts(120, seed)} for seed in "abcdefgh"]
            return await asyncio.gather(*(client.post(PATH, json=body) for body in bodies))

    with Server(tmp_path / "log", settings) as server:
        answers = asyncio.run(crowd(server))
    statuses = sorted(response.status_code for response in answers)
    assert set(statuses) == {200, 429}
    for response in answers:
        if response.status_code == 429:
            assert fault(response)["code"] == "overloaded"
            assert int(response.headers["Retry-After"]) >= 1


def test_a_deadline_that_passes(tmp_path: Path, fake_folder: ModelFolder) -> None:
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__TIMEOUT_S": "0.001",
    }
    with Server(tmp_path / "log", settings) as server:
        response = server.client.post(PATH, json={SENTENCES: long_texts(120, "late")})
        error = fault(response)
        assert (response.status_code, error["code"]) == (504, "deadline_exceeded")
        assert "api.timeout_s" in str(error["message"])


def test_api_keys(tmp_path: Path, fake_folder: ModelFolder) -> None:
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__KEYS": "[first-of-two, second-of-two]",
    }
    with Server(tmp_path / "log", settings) as server:

        def post(headers: dict[str, str]) -> httpx.Response:
            return server.client.post(PATH, json={SENTENCES: ["a"]}, headers=headers)

        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic first-of-two"}):
            refused = post(headers)
            assert (refused.status_code, fault(refused)["code"]) == (401, "unauthorized")
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert post({"Authorization": "Bearer second-of-two"}).status_code == 200
        assert server.client.get("/readyz").status_code == 200
        assert server.client.get("/metrics").status_code == 200
    assert "of-two" not in server.log.read_text()

"""One shape for every error, whoever made it."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bento.api.edge import Edge
from bento.errors import Overloaded


async def broken(request: Request) -> Response:
    raise ZeroDivisionError("secret detail")


async def overloaded(request: Request) -> Response:
    raise Overloaded(backlog=900, limit=1000, retry_after_s=6.3)


async def foreign(request: Request) -> Response:
    return PlainTextResponse("secret detail", int(request.path_params["status"]))


app = Edge(
    Starlette(routes=[Route("/broken", broken), Route("/overloaded", overloaded), Route("/{status:int}", foreign)])
)


def get(path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers={"X-Request-Id": "me"})

    return asyncio.run(ask())


def test_a_fault_of_ours_shows_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="wordtell"):
        response = get("/broken")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert "secret" not in response.text
    assert "request me failed" in caplog.text
    assert "ZeroDivisionError: secret detail" in caplog.text


def test_an_error_of_ours_keeps_its_status_and_headers(caplog: pytest.LogCaptureFixture) -> None:
    response = get("/overloaded")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert response.json()["error"]["code"] == "overloaded"
    assert response.headers["X-Request-Id"] == "me"
    assert not caplog.records


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (200, 200, None),
        (302, 302, None),
        (404, 404, "not_found"),
        (418, 422, "invalid_request"),
        (502, 500, "internal"),
    ],
)
def test_a_foreign_error_is_told_in_our_words(given: int, status: int, code: str | None) -> None:
    response = get(f"/{given}")
    assert response.status_code == status
    if code is None:
        assert response.text == "secret detail"
    else:
        assert response.json()["error"]["code"] == code
        assert "secret" not in response.text

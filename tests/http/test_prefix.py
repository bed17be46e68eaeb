"""Behind a proxy that shows the server below a path, whether it strips the path or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from bento.artifact import ModelFolder
from tests import clients
from tests.http.proxy import Proxy
from tests.http.server import Server

PREDICT = "/api/v1/predict/sentences"
BODY = {"sentences": ["the a"]}


def settings(folder: ModelFolder, base: str) -> dict[str, str]:
    return {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__BASE_PATH": base,
    }


@pytest.fixture(scope="module")
def server(fake_folder: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("prefix") / "log", settings(fake_folder, "/wordtell")) as server:
        yield server


@pytest.fixture(scope="module", params=["as it is", "stripped"])
def public(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address that the world sees."""
    with Proxy(f"127.0.0.1:{server.port}", "/wordtell", strip=request.param == "stripped") as proxy:
        yield f"http://127.0.0.1:{proxy.port}/wordtell"


def loaded(address: str) -> list[str]:
    """The addresses that a page names, as they stand there."""
    page = httpx.get(address)
    assert page.status_code == 200
    return re.findall(r"(?:href|src|url)(?:=|: )[\"']([^\"']+)[\"']", page.text)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/api/v1/health", "/v2", "/v1/models", "/docs.json"])
def test_every_path_is_there_with_the_prefix_and_without(server: Server, public: str, path: str) -> None:
    direct = [server.client.get(f"{base}{path}") for base in ("", "/wordtell")]
    proxied = [httpx.get(public + path), httpx.get(f"{public}{path}/")]
    assert [answer.status_code for answer in (*direct, *proxied)] == [200] * 4
    if path != "/metrics":
        assert len({answer.content for answer in (*direct, *proxied)}) == 1
    assert httpx.head(public + path).status_code == 200


def test_scores_come_through(server: Server, public: str) -> None:
    for url in (f"{public}{PREDICT}", f"{public}{PREDICT}/"):
        answer = httpx.post(url, json=BODY)
        assert answer.json()["probabilities"] == server.client.post(PREDICT, json=BODY).json()["probabilities"]


def test_errors_have_the_shape_of_their_path(public: str) -> None:
    ours, protocol = httpx.get(f"{public}/api/v1/nowhere"), httpx.get(f"{public}/v2/nowhere")
    assert (ours.status_code, protocol.status_code) == (404, 404)
    assert ours.json()["error"]["code"] == "not_found"
    for path in ("/v2/nowhere", "/v1/nowhere", "/v2/models/other", "/v1/models/other"):
        assert isinstance(httpx.get(f"{public}{path}").json()["error"], str)
    assert isinstance(httpx.post(f"{public}/v2/models/fake/infer", json={}).json()["error"], str)
    assert httpx.post(f"{public}{PREDICT}", json={}).json()["error"]["field"] == "sentences"


def test_what_only_begins_like_the_prefix_is_not_below_it(server: Server) -> None:
    for path in ("/wordtells/livez", "/wordtelllivez", "/wordtell/wordtell/livez", "/WORDTELL/livez"):
        answer = server.client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert path in answer.json()["error"]["message"]


@pytest.mark.parametrize("end", ["", "/", "/docs", "/docs/"])
def test_the_pages_find_what_they_load(public: str, end: str) -> None:
    """Every address of a page, resolved as a browser does, answers through the proxy."""
    addresses = loaded(public + end)
    assert len(addresses) == 4
    for address in addresses:
        found = httpx.get(urljoin(public + end, address))
        assert (address, found.status_code) == (address, 200)


def test_the_document_names_the_prefix(public: str) -> None:
    addresses = loaded(f"{public}/docs")
    (spec,) = (address for address in addresses if address.endswith("docs.json"))
    document = httpx.get(urljoin(public, spec)).json()
    assert document["servers"] == [{"url": "/wordtell"}]
    asked = urljoin(public, document["servers"][0]["url"]) + PREDICT
    assert httpx.post(asked, json=BODY).status_code == 200


def test_clients_of_kserve_and_triton_find_it(public: str, server: Server) -> None:
    (version,) = server.client.get("/v2/models/fake").json()["versions"]
    found = clients.run("tests/http/clients.py", public, "fake", version, given=["the a"])
    for client in ("kserve", "triton"):
        assert found[client]["ready"] is found[client]["version_ready"] is True
    assert found["kserve"]["v1"]["predictions"][0] == pytest.approx(
        found["triton"][f"binary=False asked=True version={version}"]["probabilities"], abs=1e-6
    )


def test_the_metrics_have_no_prefix(server: Server) -> None:
    server.client.post(f"/wordtell{PREDICT}", json=BODY)
    metrics = server.client.get("/wordtell/metrics").text
    assert f'wordtell_http_requests_total{{route="{PREDICT}",status="200"}}' in metrics
    assert 'route="/wordtell' not in metrics


@pytest.mark.parametrize("base", ["/api", "/v2"])
def test_a_prefix_that_begins_like_a_path_of_ours(tmp_path: Path, fake_folder: ModelFolder, base: str) -> None:
    """An Ingress with the path /api, which passes it on, has shown these paths before there was a base path."""
    with Server(tmp_path / "log", settings(fake_folder, base)) as server:
        for below in ("", base):
            assert server.client.post(f"{below}{PREDICT}", json=BODY).status_code == 200
            assert server.client.get(f"{below}/v2/health/ready").status_code == 200
            assert server.client.get(f"{below}/readyz").status_code == 200
            assert server.client.get(f"{below}/docs.json").json()["servers"] == [{"url": base}]


def test_without_a_base_path_the_page_is_relative(tmp_path: Path, fake_folder: ModelFolder) -> None:
    """A proxy that strips a path that nobody told us still shows the page at its slash."""
    with (
        Server(tmp_path / "log", settings(fake_folder, "")) as server,
        Proxy(f"127.0.0.1:{server.port}", "/other", strip=True) as proxy,
    ):
        for end in ("", "docs", "docs/"):
            public = f"http://127.0.0.1:{proxy.port}/other/{end}"
            assert [httpx.get(urljoin(public, address)).status_code for address in loaded(public)] == [200] * 4
        assert "servers" not in server.client.get("/docs.json").json()

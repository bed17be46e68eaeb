"""Alerts and dashboard against what a real Prometheus has scraped of a real server under load."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bento.settings import ROOT
from tests.http.server import Server, free_port, long_texts

FILES = ROOT / "deploy" / "chart" / "wordtell" / "files"
# Of Debian's package `prometheus`.
pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="there is no prometheus on the PATH"
)


def panels() -> Iterator[tuple[str, str]]:
    for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$namespace", "prod").replace("$__rate_interval", "1m")


def alerts() -> list[dict[str, Any]]:
    return list(yaml.safe_load((FILES / "rules.yaml").read_text()))


def promtool(*arguments: str, given: bytes = b"") -> str:
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, check=False)
    printed = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, printed
    return printed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """So small that it refuses, and with jobs."""
    folder = tmp_path_factory.mktemp("watched")
    settings = {"WORDTELL_API__MAX_QUEUE_TOKENS": "200", "WORDTELL_JOBS__FOLDER": str(folder / "jobs")}
    with Server(folder / "log", settings) as running:
        yield running


def load(server: Server, seed: str) -> None:
    """Something of everything that is counted: answers, a refusal, an error of the client's, texts from the cache."""
    for _ in range(2):
        assert post(server, long_texts(2, seed)) == 200
    assert post(server, 3) == 422
    with ThreadPoolExecutor(2) as callers:
        both = [callers.submit(post, server, long_texts(40, f"{seed}{caller}")) for caller in range(2)]
        assert sorted(call.result() for call in both) == [200, 429]

    lines = "".join(json.dumps({"id": text[:9], "text": text}) + "\n" for text in long_texts(3, f"job{seed}"))
    made = server.client.post("/api/v1/jobs", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert made.status_code == 202


def post(server: Server, texts: object) -> int:
    return server.client.post("/api/v1/predict/sentences", json={"sentences": texts}).status_code


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """It has seen the server before and under load."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "wordtell", "rules": alerts()}]}))
    target = {"targets": [f"127.0.0.1:{server.port}"], "labels": {"namespace": "prod", "pod": "wordtell-0"}}
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "wordtell", "static_configs": [target]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    promtool("check", "config", str(folder / "prometheus.yml"))
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder, stdout=log, stderr=log
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        try:
            wait_for(client, "count_over_time(wordtell_lanes[1m]) > 2", process, folder / "log")
            load(server, "first")
            seen = 'wordtell_http_requests_total{route="/api/v1/predict/sentences"}'
            wait_for(client, seen, process, folder / "log")  # a rate is of what was seen before
            load(server, "second")
            wait_for(client, f"increase({seen}[1m]) > 0", process, folder / "log")
            wait_for(client, "increase(wordtell_rejections_total[1m]) > 0", process, folder / "log")
            wait_for(client, "increase(wordtell_jobs_chunks_total[1m]) > 0", process, folder / "log")
            yield client
        finally:
            process.terminate()
            process.wait(20)


def wait_for(client: httpx.Client, expression: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            if query(client, expression):
                return
        except (httpx.TransportError, json.JSONDecodeError):
            pass  # it does not listen yet, or says in plain text that it is not ready
        if process.poll() is not None or time.monotonic() > give_up:
            pytest.fail(f"{expression} gives nothing:\n{log.read_text()}")
        time.sleep(0.2)


def query(client: httpx.Client, expression: str) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/query", params={"query": expression}).json()
    if answer["status"] != "success":
        assert answer["errorType"] == "unavailable", answer
        return []
    return list(answer["data"]["result"])


def test_what_is_scraped_is_sound(server: Server) -> None:
    promtool("check", "metrics", given=server.client.get("/metrics").content)


def test_rules_are_sound(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "wordtell", "rules": alerts()}]}))
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(path))


@pytest.mark.parametrize(("title", "expression"), [pytest.param(*panel, id=panel[0]) for panel in panels()])
def test_every_panel_shows_something(prometheus: httpx.Client, title: str, expression: str) -> None:
    found = query(prometheus, expression)
    assert found, f"{title} is empty: {expression}"
    assert not any(sample["value"][1] == "NaN" for sample in found)


def test_every_alert_is_evaluated_without_an_error(prometheus: httpx.Client) -> None:
    (group,) = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    assert {rule["name"] for rule in group["rules"]} == {alert["alert"] for alert in alerts()}
    assert [rule["lastError"] for rule in group["rules"] if rule["health"] != "ok"] == []


def test_the_alert_of_refusals_sees_them(prometheus: httpx.Client) -> None:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        states = {alert["labels"]["alertname"]: alert["state"] for alert in active(prometheus)}
        if "WordtellRefuses" in states:
            break
        time.sleep(0.2)
    assert states == {"WordtellRefuses": "pending"}  # it fires after ten minutes


def active(client: httpx.Client) -> list[dict[str, Any]]:
    return list(client.get("/api/v1/alerts").json()["data"]["alerts"])

"""POST /api/v1/predict/document, whole and as events, against a real server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect

from bento.api.events import EventStream
from bento.artifact import ModelFolder
from bento.settings import ROOT
from tests.http.server import Server

PATH = "/api/v1/predict/document"
SENTENCES = "/api/v1/predict/sentences"
STREAM = {"Accept": "text/event-stream"}
MIXED = (ROOT / "examples" / "mixed.txt").read_text(encoding="utf-8")
LONG = "The state of our union is strong, and the people who made it so are here tonight. " * 2000


def events(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.split("\n\n") if block]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_a_document_is_answered_whole(embedded: Server) -> None:
    answer = embedded.client.post(PATH, json={"text": MIXED}).json()
    assert list(answer) == ["probabilities", "offsets", "spans", "summary", "metadata"]
    asked = {"sentences": [MIXED], "include": ["offsets", "spans", "summary"]}
    same = embedded.client.post(SENTENCES, json=asked).json()
    for name in ("probabilities", "offsets", "spans", "summary"):
        assert [answer[name]] == same[name]
    assert answer["metadata"]["threshold"] == same["metadata"]["threshold"]


def test_what_is_marked_of_the_example_a_machine_wrote(embedded: Server) -> None:
    labels = json.loads((ROOT / "examples" / "mixed.labels.json").read_text())
    machine = {index for index, label in enumerate(labels) if label}
    answer = embedded.client.post(PATH, json={"text": MIXED}).json()
    (span,) = answer["spans"]
    marked = set(range(span["first_word"], span["last_word"] + 1))
    assert marked <= machine  # a part of it: the calibrated threshold would rather miss words than accuse a person
    assert len(marked) >= 20
    assert MIXED[span["start"] : span["end"]].split() == MIXED.split()[span["first_word"] : span["last_word"] + 1]
    assert answer["summary"]["machine_share"] == pytest.approx(len(marked) / len(labels), abs=1e-4)


def test_events_bring_the_words_in_order_and_then_the_result(embedded: Server) -> None:
    came: list[float] = []
    with embedded.client.stream("POST", PATH, json={"text": LONG}, headers=STREAM) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        found = events("".join(answer.iter_text()))
    *progress, (last, result) = found
    assert last == "result"
    assert {name for name, _ in progress} == {"progress"}
    assert len(progress) > 3
    for _, data in progress:
        assert data["first_word"] == len(came)
        assert data["words"] == len(LONG.split())
        came += data["probabilities"]
    assert came == result["probabilities"][: len(came)]
    assert len(came) > len(result["probabilities"]) / 2
    assert result["probabilities"] == embedded.client.post(PATH, json={"text": LONG}).json()["probabilities"]


@pytest.mark.parametrize("headers", [{}, STREAM])
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"text": "word " * 40_001}, 400, "text has 200005 characters; the limit is 200000 (api.max_document_char"),
        ({"text": "x" * 150_000}, 400, "tokens long; the limit is 131072 (api.max_document_tokens)"),
        ({"text": " \n"}, 422, "text is blank"),
        ({"text": ["a"]}, 422, "text must be a text"),
        ({"sentences": ["a"]}, 422, "text is missing"),
        ({"text": "a", "include": []}, 422, "include is not a known field"),
    ],
)
def test_what_is_refused_has_a_status_before_any_event(
    server: Server, body: dict[str, object], status: int, says: str, headers: dict[str, str]
) -> None:
    answer = server.client.post(PATH, json=body, headers=headers)
    assert answer.status_code == status
    assert says in answer.json()["error"]["message"]


def test_spans_and_summary_are_answered_where_they_are_asked_for(server: Server) -> None:
    texts = ["the the the the the the", "a"]
    plain = server.client.post(SENTENCES, json={"sentences": texts}).json()
    assert plain.keys() == {"probabilities", "metadata"}
    assert "threshold" not in plain["metadata"]
    full = server.client.post(SENTENCES, json={"sentences": texts, "include": ["summary", "spans"]}).json()
    assert full.keys() == {"probabilities", "spans", "summary", "metadata"}
    assert [len(spans) for spans in full["spans"]] == [one["passages"] for one in full["summary"]]
    assert full["metadata"]["threshold"]["value"] > 0


def test_who_goes_away_drops_the_work(embedded: Server) -> None:
    def value(name: str) -> float:
        lines = embedded.client.get("/metrics").text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " ")), 0.0)

    left = f'wordtell_http_requests_total{{route="{PATH}",status="499"}}'
    before, windows = value(left), value("wordtell_windows_total")
    with embedded.client.stream("POST", PATH, json={"text": f"{LONG} gone"}, headers=STREAM) as answer:
        next(answer.iter_text())
    give_up = time.monotonic() + 30
    while value(left) == before or value("wordtell_queue_tokens") or value("wordtell_lanes_busy"):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert value("wordtell_windows_total") - windows < 60  # of over 80


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose queue one document fills, and whose deadline it does not meet."""
    settings = {"MAX_QUEUE_TOKENS": "1000", "TIMEOUT_S": "1", "CACHE_MB": "0", "KEYS": "a key of ours"}
    named = {f"WORDTELL_API__{name}": value for name, value in settings.items()}
    with Server(tmp_path_factory.mktemp("busy") / "log", named | {"WORDTELL_CPU__LANES": "1"}) as server:
        server.client.headers["Authorization"] = "Bearer a key of ours"
        yield server


def test_late_and_overloaded_documents(busy: Server) -> None:
    """The first is told in an event that it is late; the second, meanwhile, is refused with a status."""
    with busy.client.stream("POST", PATH, json={"text": LONG}, headers=STREAM) as first:
        pieces = first.iter_text()
        begun = next(pieces)
        second = busy.client.post(PATH, json={"text": LONG}, headers=STREAM)
        assert (second.status_code, second.json()["error"]["code"]) == (429, "overloaded")
        assert int(second.headers["Retry-After"]) >= 1
        *_, (name, data) = events(begun + "".join(pieces))
    assert (name, data["error"]["code"]) == ("error", "deadline_exceeded")


def test_a_key_is_needed(busy: Server) -> None:
    answer = httpx.post(f"http://127.0.0.1:{busy.port}{PATH}", json={"text": "a"}, headers=STREAM)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


def test_a_client_that_takes_nothing_has_gone() -> None:
    closed = []

    async def numbers() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data: 1\n\n"
        finally:
            closed.append(True)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive() -> Any:
        raise AssertionError

    stream = EventStream(numbers(), 0.05)
    with pytest.raises(ClientDisconnect):
        asyncio.run(stream({"type": "http"}, receive, send))
    assert closed == [True]


def test_windows_that_come_in_parts_are_those_of_the_whole(fake_folder: ModelFolder, tmp_path: Path) -> None:
    """A text of the fake model, whose windows have 64 tokens: many progress events' worth, checked by number."""
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__CACHE_MB": "0",
    }
    text = " ".join(f"{'abc' * (number % 5 + 1)} \u200b" for number in range(3000))
    with Server(tmp_path / "log", settings) as server:
        *progress, (_, result) = events(server.client.post(PATH, json={"text": text}, headers=STREAM).text)
    came = [score for _, data in progress for score in data["probabilities"]]
    assert came == result["probabilities"][: len(came)]

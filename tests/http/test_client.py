"""The client against a real server: overload, limits, order, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bento.client import AsyncClient, Client, Refused, Result, Unreachable
from tests.http.server import Server, free_port, long_texts

INCLUDE = ("offsets", "spans", "summary")


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded model with room for one request of a few long texts, and limits below the client's own."""
    settings = {
        "WORDTELL_API__MAX_QUEUE_TOKENS": "3000",
        "WORDTELL_API__MAX_SENTENCES": "4",
        "WORDTELL_API__KEYS": "a-key-of-a-test",
    }
    with Server(tmp_path_factory.mktemp("small") / "log", settings) as server:
        yield server


def test_texts_are_split_answered_in_order_and_long_ones_sent_as_documents(server: Server) -> None:
    texts = [f"word {'the ' * (index % 7)}{index}" for index in range(250)]
    texts[100] = "the ment " * 400
    with Client(address(server), include=INCLUDE) as client:
        results = list(client.score(iter(texts)))
    assert [result.text for result in results] == texts
    assert [result.index for result in results] == list(range(250))
    for result in results:
        assert len(result.probabilities) == len(result.text.split()) == len(result.offsets or [])
        assert result.spans is not None
        assert result.summary is not None
        assert result.threshold is not None


def test_only_what_was_asked_for_comes(server: Server) -> None:
    with Client(address(server)) as client:
        (result,) = client.score(["the word"])
    assert (result.offsets, result.spans, result.summary, result.threshold) == (None,) * 4


def test_results_come_before_the_last_text_is_read(server: Server) -> None:
    read = []

    def texts() -> Iterator[str]:
        for index in range(10):
            read.append(index)
            yield f"the {index}"

    with Client(address(server), max_texts=2) as client:
        next(client.score(texts()))
    assert len(read) < 5


def test_an_error_names_the_text_and_loses_none_before_it(server: Server) -> None:
    got: list[int] = []
    with Client(address(server), max_texts=2) as client, pytest.raises(Refused) as caught:
        got.extend(result.index for result in _each(client, ["a", "b", "c", " ", "e"], got))
    assert caught.value.index == 3
    assert "texts[3]" in str(caught.value)
    assert got == [0, 1]


def _each(client: Client, texts: list[str], got: list[int]) -> Iterator[Result]:
    for result in client.score(texts):
        got.append(result.index)
    yield from ()


def test_a_missing_key_is_one_line(small: Server) -> None:
    with Client(address(small)) as client, pytest.raises(Refused, match=r"unauthorized \(401\)"):
        next(client.score(["a text"]))


def test_clients_of_an_overloaded_server_all_get_their_scores(small: Server) -> None:
    def ask(name: int) -> int:
        with Client(address(small), key="a-key-of-a-test", patience_s=60) as client:
            return sum(len(result.probabilities) for result in client.score(long_texts(6, f"sync-{name}")))

    async def ask_too(name: int) -> int:
        async with AsyncClient(address(small), key="a-key-of-a-test", patience_s=60) as client:
            return sum([len(one.probabilities) async for one in client.score(long_texts(6, f"async-{name}"))])

    async def both() -> list[int]:
        return list(await asyncio.gather(*map(ask_too, range(6))))

    with ThreadPoolExecutor(7) as pool:
        sync = [pool.submit(ask, name) for name in range(6)]
        assert asyncio.run(both()) == [6 * 350] * 6
        assert [one.result() for one in sync] == [6 * 350] * 6
    refused = [line for line in small.client.get("/metrics").text.splitlines() if "429" in line]
    assert refused, "the server was never overloaded: the test shows nothing"


def test_patience_has_an_end() -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", patience_s=0.8) as client,
        pytest.raises(Unreachable, match=r"texts\[0\]: no answer within 0.8 s"),
    ):
        next(client.score(["a text"]))


def test_what_cannot_be_asked_for_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="include has colours"):
        Client("http://localhost", include=["colours"])

"""What goes wrong, each told in words: behind a proxy's path, with a key, a full queue, a server that ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.http.page.browser import done, opened, painted, paste, score, text_of
from tests.http.page.test_way import MIXED
from tests.http.proxy import Proxy
from tests.http.server import Server
from tests.http.test_document import LONG

KEY = "a key of ours"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A key, a base path, and a queue that one document fills."""
    settings = {"KEYS": KEY, "BASE_PATH": "/wordtell", "MAX_QUEUE_TOKENS": "1000", "CACHE_MB": "0"}
    with Server(
        tmp_path_factory.mktemp("guarded") / "log",
        {f"WORDTELL_API__{name}": value for name, value in settings.items()} | {"WORDTELL_CPU__LANES": "1"},
    ) as server:
        yield server


@pytest.fixture
def page(browser: Browser, guarded: Server) -> Iterator[Page]:
    with (
        Proxy(f"127.0.0.1:{guarded.port}", "/wordtell", strip=True) as proxy,
        opened(browser, f"http://127.0.0.1:{proxy.port}/wordtell") as page,
    ):
        yield page


def test_a_key_is_asked_for_and_sent_behind_a_proxys_path(page: Page) -> None:
    paste(page, MIXED)
    page.click("#score")
    expect(page.locator("#alert")).to_contain_text("no valid API key")
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    done(page)
    assert len(painted(page, "passage")) == 1


def test_a_text_that_is_too_long_or_empty(page: Page) -> None:
    page.evaluate("key => { document.getElementById('key').value = key; }", KEY)
    page.click("#score")
    expect(page.locator("#alert")).to_have_text("There is no word to score: paste a text first.")
    paste(page, "word " * 40_001)
    page.click("#score")
    expect(page.locator("#alert")).to_contain_text("text has 200005 characters; the limit is 200000")
    expect(page.locator("#result")).to_be_hidden()


def test_a_full_server_is_waited_for(page: Page, guarded: Server) -> None:
    page.evaluate("key => { document.getElementById('key').value = key; }", KEY)
    begun = threading.Event()

    def fill() -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Accept": "text/event-stream"}
        url = f"http://127.0.0.1:{guarded.port}/api/v1/predict/document"
        with httpx.stream("POST", url, json={"text": LONG}, headers=headers, timeout=60) as answer:
            for _ in answer.iter_text():
                begun.set()

    other = threading.Thread(target=fill)
    other.start()
    assert begun.wait(30)
    paste(page, LONG[:20_000])
    page.click("#score")
    expect(page.locator("#alert")).to_have_text(re.compile(r"The server is busy\. Trying again in \d+ s\."))
    other.join()
    done(page)
    expect(page.locator("#alert")).to_be_hidden()


def test_a_server_that_ends_in_the_middle(browser: Browser, tmp_path: Path) -> None:
    with (
        Server(tmp_path / "log", {"WORDTELL_CPU__LANES": "1"}) as server,
        opened(browser, f"http://127.0.0.1:{server.port}/") as page,
    ):
        paste(page, LONG)
        page.click("#score")
        expect(page.locator("#status")).to_contain_text("words scored")
        server.kill()
        expect(page.locator("#alert")).to_contain_text("The server cannot be reached")
        assert text_of(page, "#text").startswith("The state of our union")
        expect(page.locator("#save-json")).to_be_disabled()
        expect(page.locator("#stop")).to_be_hidden()
        page.click("#score")
        expect(page.locator("#alert")).to_contain_text("The server cannot be reached")


def test_half_a_surrogate_pair_is_replaced(page: Page) -> None:
    page.evaluate("key => { document.getElementById('key').value = key; }", KEY)
    page.evaluate("() => { document.getElementById('input').value = 'one \\ud83d two'; }")
    page.click("#score")
    done(page)
    assert page.text_content("#text") == "one \ufffd two"


def test_what_the_form_says_is_what_is_scored(page: Page) -> None:
    page.evaluate("key => { document.getElementById('key').value = key; }", KEY)
    score(page, "two words")
    assert page.text_content("#size") == "2 words, 9 characters"
    assert "None at this threshold" in text_of(page, "#no-passages")

"""A real Chromium, Debian's, driven by Playwright."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Closed at the end, and with it the event loop that Playwright keeps running in this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A page that must not fail: nothing in its console, no script that throws, nothing refused by its policy."""
    faults: list[str] = []

    def written(line: ConsoleMessage) -> None:
        # A refused request is written there by the browser itself.
        if "status of" not in line.text and "ERR_" not in line.text:
            faults.append(line.text)

    with browser.new_context(**context) as inner:
        page = inner.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", written)
        page.goto(url)
        yield page
    assert not faults, faults


def score(page: Page, text: str) -> None:
    """Paste a text, and wait for its result."""
    paste(page, text)
    page.click("#score")
    done(page)


def paste(page: Page, text: str) -> None:
    page.fill("#input", "")
    page.focus("#input")
    page.evaluate("text => document.execCommand('insertText', false, text)", text)


def text_of(page: Page, selector: str) -> str:
    """What an element holds; it must be there."""
    found = page.text_content(selector)
    assert found is not None, selector
    return found


def done(page: Page) -> None:
    expect(page.locator("#status")).to_contain_text(re.compile("^Done"), timeout=30_000)


def painted(page: Page, name: str) -> list[str]:
    """The texts that a layer of paint covers, in order."""
    found: list[str] = page.evaluate(
        """name => [...CSS.highlights.get(name)].map((range) => {
          const live = new Range();
          live.setStart(range.startContainer, range.startOffset);
          live.setEnd(range.endContainer, range.endOffset);
          return live;
        }).sort((a, b) => a.compareBoundaryPoints(Range.START_TO_START, b)).map(String)""",
        name,
    )
    return found

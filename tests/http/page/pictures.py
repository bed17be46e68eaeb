"""`make pictures`: the README's two pictures of the page, which test_look.py compares with what it sees."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from bento.settings import ROOT
from tests.http.page.browser import chromium, opened, score
from tests.http.server import Server

IMAGES = ROOT / "docs" / "img"
MIXED = (ROOT / "examples" / "mixed.txt").read_text(encoding="utf-8").strip()
# Name -> colour scheme and width of the window.
VIEWS = {"page-light": ("light", 1100), "page-dark": ("dark", 390)}


def take(browser: Browser, port: int) -> Iterator[tuple[str, Image.Image]]:
    """The result of the example in each view."""
    for name, (scheme, width) in VIEWS.items():
        viewport = {"width": width, "height": 900}
        with opened(browser, f"http://127.0.0.1:{port}/", color_scheme=scheme, viewport=viewport) as page:
            score(page, MIXED)
            page.evaluate("document.getElementById('model').textContent = ''")  # it names the processor
            yield name, Image.open(io.BytesIO(page.locator("#result").screenshot())).convert("RGB")


def main() -> None:
    """Take and write them."""
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "log", {}) as server, chromium() as browser:
        for name, picture in take(browser, server.port):
            picture.quantize(64).save(IMAGES / f"{name}.png", optimize=True)
            print(f"{name}.png: {picture.width} x {picture.height}, {(IMAGES / f'{name}.png').stat().st_size} bytes")


if __name__ == "__main__":
    main()

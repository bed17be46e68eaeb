"""The whole way of a text: paste, colours, passages, threshold, what is taken along."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from bento.settings import ROOT
from tests.http.page.browser import done, opened, painted, paste, score, text_of
from tests.http.server import Server

MIXED = (ROOT / "examples" / "mixed.txt").read_text(encoding="utf-8").strip()


@pytest.fixture
def page(browser: Browser, embedded: Server) -> Iterator[Page]:
    url = f"http://127.0.0.1:{embedded.port}/"
    with opened(browser, url, permissions=["clipboard-read", "clipboard-write"]) as page:
        yield page


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_bytes()


def clipboard(page: Page) -> str:
    """The HTML in it, read by a page without a policy of its own."""
    other = page.context.new_page()
    other.goto(page.url + "docs")
    return str(other.evaluate("async () => (await (await navigator.clipboard.read())[0].getType('text/html')).text()"))


def test_the_machines_passage_is_marked(page: Page) -> None:
    score(page, MIXED)
    assert page.text_content("#text") == MIXED
    (passage,) = painted(page, "passage")
    assert passage.startswith("She is the founder")
    assert passage.endswith("that we have to enjoy.")  # at the threshold that marks 1 % of human texts
    assert "Words 14 to 37" in text_of(page, "#passages")
    assert "never decide about a person" in text_of(page, "#limits")
    assert "SmolLM2-135M" in text_of(page, "#limits")
    assert page.text_content("#summary") == "Words113Mean score52 %Passages marked1Words in them24 (21 %)"


def test_colours_are_those_of_the_scores(page: Page, embedded: Server) -> None:
    score(page, MIXED)
    (scores,) = embedded.client.post("/api/v1/predict/sentences", json={"sentences": [MIXED]}).json()["probabilities"]
    for level in range(1, 6):
        words = " ".join(painted(page, f"level-{level}")).split()
        assert words == [word for word, one in zip(MIXED.split(), scores, strict=True) if min(5, int(one * 6)) == level]


def test_a_word_under_the_pointer_is_told(page: Page) -> None:
    score(page, MIXED)
    box = page.evaluate(
        """() => { const range = new Range(), node = document.querySelector("#text div").firstChild;
        const at = node.data.indexOf("founder"); range.setStart(node, at); range.setEnd(node, at + 7);
        const { x, y, width, height } = range.getBoundingClientRect(); return [x + width / 2, y + height / 2]; }"""
    )
    page.mouse.move(*box)
    assert page.text_content("#word") == "Word 17 of 113, “founder”: 94 %, in passage 1"
    assert painted(page, "cursor") == ["founder"]


def test_the_slider_moves_the_passages_and_says_what_it_promises(page: Page) -> None:
    score(page, MIXED)
    own = page.text_content("#promise")
    assert own
    page.fill("#threshold", "0.97")
    assert painted(page, "passage") != []
    page.fill("#threshold", "0.99")
    assert painted(page, "passage") == []
    assert "nothing is promised here" in text_of(page, "#promise")
    assert "does not show that a person wrote" in text_of(page, "#no-passages")
    page.click("#reset")
    assert page.text_content("#promise") == own
    assert len(painted(page, "passage")) == 1


def test_what_is_saved(page: Page) -> None:
    score(page, MIXED)
    as_json = json.loads(saved(page, "#save-json"))
    assert as_json["text"] == MIXED
    assert len(as_json["probabilities"]) == 113
    assert [(span["first_word"], span["last_word"]) for span in as_json["spans"]] == [(13, 36)]
    assert as_json["model_version"].startswith("wordtell-small-")
    assert "no proof" in as_json["caveat"]
    rows = list(csv.DictReader(io.StringIO(saved(page, "#save-csv").decode(), newline="")))
    assert [row["text"] for row in rows] == MIXED.split()
    assert [float(row["probability"]) for row in rows] == as_json["probabilities"]
    assert [index for index, row in enumerate(rows) if row["passage"] == "1"] == list(range(13, 37))
    picture = Image.open(io.BytesIO(saved(page, "#save-png")))
    assert picture.width == 1000
    colours = picture.convert("RGB").getcolors(1 << 24) or []
    assert (0xDC, 0x81, 0x29) in [colour for _, colour in colours]


def test_a_copy_has_its_colours_and_no_link(page: Page) -> None:
    score(page, MIXED)
    page.click("#copy")
    expect(page.locator("#status")).to_contain_text("Copied")
    html = clipboard(page)
    assert "She is" in html
    assert "#dc8129" in html
    assert "underline" in html
    assert "no proof" in html
    for link in ("<a", "href", "http", "src="):
        assert link not in html


def test_markup_in_a_text_is_text(page: Page) -> None:
    text = '<img src=x onerror="alert(1)"> <b>bold</b> =1+1 &amp; "quoted, text" ' + "word " * 9
    score(page, text.strip())
    assert page.text_content("#text") == text.strip()
    assert page.query_selector("#text img") is None
    assert "'=1+1" in saved(page, "#save-csv").decode()
    page.click("#copy")
    expect(page.locator("#status")).to_contain_text("Copied")
    assert "&lt;img src=x" in clipboard(page)


def test_files_are_opened_and_dropped(page: Page, tmp_path: Path) -> None:
    (tmp_path / "text.md").write_text("# A heading\n\nof a file", encoding="utf-8")
    page.set_input_files("#file", tmp_path / "text.md")
    expect(page.locator("#input")).to_have_value("# A heading\n\nof a file")
    (tmp_path / "data.txt").write_bytes(b"\xff\xfe\x00")
    page.set_input_files("#file", tmp_path / "data.txt")
    page.wait_for_selector("#alert:not([hidden])")
    assert "data.txt is not text in UTF-8" in text_of(page, "#alert")
    page.evaluate(
        """() => { const data = new DataTransfer(); data.items.add(new File(["dropped text"], "a.txt"));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true })); }"""
    )
    expect(page.locator("#input")).to_have_value("dropped text")
    assert page.text_content("#size") == "2 words, 12 characters"


def test_colours_come_before_the_result(page: Page) -> None:
    page.evaluate("""() => { window.seen = []; new MutationObserver(() => seen.push(
        [document.getElementById("status").textContent, CSS.highlights.get("level-1").size]
      )).observe(document.getElementById("status"), { childList: true }); }""")
    paste(page, (MIXED + "\n\n") * 250)
    page.click("#score")
    done(page)
    seen = page.evaluate("seen")
    assert any(" of 28,250 words scored" in status and painted for status, painted in seen)


def test_a_run_is_stopped_and_another_begun(page: Page) -> None:
    paste(page, (MIXED + " again ") * 200)
    page.click("#score")
    page.wait_for_selector("#stop:not([hidden])")
    page.click("#stop")
    expect(page.locator("#status")).to_have_text("Stopped.")
    score(page, MIXED)
    assert len(painted(page, "passage")) == 1

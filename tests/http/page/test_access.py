"""By keyboard alone, for other eyes and other scripts; and that Python and JavaScript agree."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from bento.text import spans
from tests.http.page.browser import done, opened, painted, score, text_of
from tests.http.page.test_way import MIXED
from tests.http.server import Server

VIOLATIONS = "({id, impact, nodes}) => ({id, impact, nodes: nodes.map(node => node.html)})"


@pytest.fixture
def page(browser: Browser, embedded: Server) -> Iterator[Page]:
    with opened(browser, f"http://127.0.0.1:{embedded.port}/") as page:
        yield page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_no_rule_of_wcag_aa_is_broken(browser: Browser, embedded: Server, scheme: str, width: int) -> None:
    viewport = {"width": width, "height": 800}
    url = f"http://127.0.0.1:{embedded.port}/"
    # axe is put into the page as a script, which the page's policy would refuse.
    with opened(browser, url, color_scheme=scheme, viewport=viewport, bypass_csp=True) as page:
        for text in (None, MIXED):
            if text:
                score(page, text)
            tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
            found = Axe().run(page, options={"runOnly": tags})
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_of_the_text_can_be_read(browser: Browser, embedded: Server, scheme: str) -> None:
    """axe does not see highlights: contrast of text on each level, and of each level to the next (WCAG 1.4.3)."""
    with opened(browser, f"http://127.0.0.1:{embedded.port}/", color_scheme=scheme) as page:
        score(page, MIXED)
        colours = page.evaluate(
            """() => [0, 1, 2, 3, 4, 5].map((level) => {
              const style = getComputedStyle(document.querySelector("#text div"), `::highlight(level-${level})`);
              const ground = getComputedStyle(document.body);
              return [level ? style.color : ground.color, level ? style.backgroundColor : ground.backgroundColor];
            })"""
        )
    assert all(contrast(*pair) >= 4.5 for pair in colours)
    light = [luminance(ground) for _, ground in colours]
    assert light in (sorted(light), sorted(light, reverse=True))  # told by lightness, whatever the hue


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_whole_way_by_keyboard(page: Page) -> None:
    def tab_to(name: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == name:
                return
        raise AssertionError(f"Tab does not reach {name}")

    tab_to("input")
    page.keyboard.insert_text(MIXED)
    page.keyboard.press("Control+Enter")
    done(page)
    tab_to("text")
    page.keyboard.press("ArrowRight")
    assert "Word 1 of 113, “One”" in text_of(page, "#word")
    page.keyboard.press("Control+ArrowRight")
    assert "Word 14 of 113, “She”" in text_of(page, "#word")
    page.keyboard.press("End")
    assert "Word 113 of 113" in text_of(page, "#word")
    page.keyboard.press("Control+ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "Word 13 of 113" in text_of(page, "#word")
    tab_to("threshold")
    page.keyboard.press("ArrowRight")
    assert page.text_content("#threshold-value") != "50 %"
    tab_to("reset")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the first passage of the list
    assert "Word 14 of 113" in text_of(page, "#word")
    tab_to("save-csv")
    with page.expect_download():
        page.keyboard.press("Space")


def test_a_text_from_right_to_left(page: Page) -> None:
    text = "שלום עולם זה טקסט ארוך יותר\nand a line of English"
    score(page, text)
    assert page.evaluate("getComputedStyle(document.querySelector('#text div')).direction") == "rtl"
    page.focus("#text")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")  # forwards, here
    assert "Word 2 of 11, “עולם”" in text_of(page, "#word")
    assert painted(page, "cursor") == ["עולם"]


def test_words_are_pythons(page: Page) -> None:
    spaces = [chr(code) for code in range(0x3100) if chr(code).isspace()] + ["\ufeff", "\u200b", "\u180e"]
    text = "".join(f"a{one}b" for one in spaces)
    found = page.evaluate(
        """async (text) => { const { Words } = await import(new URL("page/words.js", location.href));
        const words = new Words(text); return Array.from({ length: words.length }, (_, word) => words.at(word)); }""",
        text,
    )
    assert found == text.split()


def test_passages_are_pythons(page: Page) -> None:
    chance = random.Random(5)  # noqa: S311 - it is to be the same each time
    cases = [
        ([round(chance.random() ** chance.choice((0.3, 1, 3)), 4) for _ in range(chance.randrange(1, 60))], one / 50)
        for one in [chance.randrange(1, 51) for _ in range(500)]
    ]
    found = page.evaluate(
        """async (cases) => { const { findPassages } = await import(new URL("page/spans.js", location.href));
        const edges = ([scores, threshold]) => findPassages(scores, threshold).map((one) => [one.first, one.last]);
        return cases.map(edges); }""",
        cases,
    )
    want = [[[one.first, one.last] for one in spans.find(np.array(scores), level)] for scores, level in cases]
    assert found == want
    assert sum(map(len, want)) > 300


def test_long_texts_jump_to_a_passage(page: Page) -> None:
    score(page, ("The people of this country came together. " * 400) + MIXED)
    page.locator("#passages button").last.click()
    expect(page.locator("#word")).to_contain_text("in passage")
    assert page.evaluate("document.getElementById('text').scrollTop") > 1000
    assert painted(page, "cursor") != []

"""Does the page stay smooth with 100,000 words?

A real Chromium pastes them into the page of a real server: how long after the first event the first words have their
colours, and the longest task of the page's thread while the text is put in (which is the browser's own work), while the
page receives the events, and while the text is scrolled from end to end. Writes benchmarks/results/page.json.
"""

from __future__ import annotations

import argparse
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from benchmarks import harness, servers

EXAMPLE = Path(__file__).parent.parent / "examples" / "mixed.txt"
SETTINGS = {
    "WORDTELL_API__MAX_DOCUMENT_CHARACTERS": "5000000",
    "WORDTELL_API__MAX_DOCUMENT_TOKENS": "2000000",
    "WORDTELL_API__TIMEOUT_S": "600",
}
AIMS = {"first_colours_ms": 1000, "longest_task_while_scrolling_ms": 100}
# The browser reports tasks of 50 ms and more, from within the page.
WATCH = """
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => [one.startTime, one.duration])))
  .observe({ type: "longtask", buffered: true });
const parse = JSON.parse;
JSON.parse = (text) => {
  if (!window.firstEvent && text.startsWith('{"first_word"')) window.firstEvent = performance.now();
  return parse(text);
};
const look = () => {
  const painted = [1, 2, 3, 4, 5].some((level) => CSS.highlights.get(`level-${level}`)?.size);
  if (window.firstEvent && painted) requestAnimationFrame(() => { window.firstColours = performance.now(); });
  else requestAnimationFrame(look);
};
look();
"""
PUT = """
async (text) => {
  document.getElementById("input").value = text;
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
"""
SCROLL = """
async (steps) => {
  const box = document.getElementById("text"), began = performance.now();
  let frames = 0, worst = 0, last = began;
  for (let step = 0; step <= steps; step++) {
    box.scrollTop = (box.scrollHeight - box.clientHeight) * step / steps;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
    frames++;
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { began, frames, seconds: (last - began) / 1000, worst };
}
"""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=100_000)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    options = parser.parse_args()
    lines = (EXAMPLE.read_text(encoding="utf-8").strip().split(" ") for _ in cycle([None]))
    words = list(islice((word for line in lines for word in line), options.words))
    text = "\n\n".join(" ".join(words[start : start + 113]) for start in range(0, len(words), 113))
    with servers.start("wordtell", options.cores, settings=SETTINGS) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.add_init_script(WATCH)
        page.goto(server.base)
        found = measure(page, text)
        found["browser"] = browser.version
        browser.close()
    question = (__doc__ or "").splitlines()[0]
    result = {"question": question, "model": servers.MODEL.name, "cores": options.cores, "words": options.words}
    harness.write("page", result | {"aims": AIMS} | found, options.results)


def measure(page: Page, text: str) -> dict[str, Any]:
    """Milliseconds of one run."""
    page.evaluate(PUT, text)
    putting = max((duration for _, duration in page.evaluate("tasks")), default=0.0)
    page.evaluate("tasks.length = 0")
    started = time.perf_counter()
    page.click("#score")
    expect(page.locator("#status")).to_contain_text("Done", timeout=600_000)
    seconds = time.perf_counter() - started
    scoring = max((duration for _, duration in page.evaluate("tasks")), default=0.0)
    scroll = page.evaluate(SCROLL, 600)
    tasks = [duration for start, duration in page.evaluate("tasks") if start >= scroll["began"]]
    return {
        "scored_s": round(seconds, 1),
        "first_colours_ms": round(page.evaluate("firstColours - firstEvent")),
        "longest_task_while_putting_in_ms": round(putting),
        "longest_task_while_scoring_ms": round(scoring),
        "longest_task_while_scrolling_ms": round(max(tasks, default=0.0)),
        "slowest_frame_while_scrolling_ms": round(scroll["worst"]),
        "frames_while_scrolling": scroll["frames"],
        "passages": page.locator("#passages button").count(),
    }


if __name__ == "__main__":
    main()

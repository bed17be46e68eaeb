"""Human prose from HTML pages: manuals of Debian (documentation) and An Anarchist FAQ (essays)."""

import re
from functools import cache
from html.parser import HTMLParser

from train.corpus import Document, divide, prose, sentences
from train.packages import check, debian

HANDBOOK, REFERENCE, FAQ = debian("debian-handbook"), debian("debian-reference-en"), debian("anarchism")
DIGESTS = {"documentation": "fca0a20b15b8d3e5", "essays": "92f8381885d51191"}
LEAST = 12
"""Sentences of a document; a page with fewer is an overview of others."""

_SKIPPED = frozenset({"pre", "table", "h1", "h2", "h3", "h4", "h5", "script", "style", "title", "dt"})
_BLOCKS = frozenset({"p", "div", "li", "blockquote", "dd", "tr", "body", "br", "ul", "ol"})
_CHAPTER = re.compile(r"ch\d+\.en\.html")
_SECTION = re.compile(r"(?:sec[A-J]\d+|append\d+)\.html")
_SPACE = re.compile(r"\s+")


class _Paragraphs(HTMLParser):
    """Collects the text of a page, one line per block, without headings, tables and code."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.depth += tag in _SKIPPED
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag in _SKIPPED and self.depth > 0
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.depth:
            self.parts.append(_SPACE.sub(" ", data))


def text_of(page: str) -> str:
    """Return the prose of an HTML page, normalised."""
    parser = _Paragraphs()
    parser.feed(page)
    return prose("".join(parser.parts))


@cache
def documentation() -> tuple[Document, ...]:
    """Return the pages of the Debian Administrator's Handbook and the chapters of the Debian Reference."""
    pages = [f for f in HANDBOOK.files("*.html") if f.parent.name == "en-US" and f.stem != "index"]
    chapters = [f for f in REFERENCE.files("*.html") if _CHAPTER.fullmatch(f.name)]
    return _documents("documentation", {f"debian-{f.stem}": f.read_text("utf-8") for f in (*pages, *chapters)})


@cache
def essays() -> tuple[Document, ...]:
    """Return the sections of An Anarchist FAQ."""
    files = [f for f in FAQ.files("*.html") if _SECTION.fullmatch(f.name)]
    return _documents("essays", {f"faq-{f.stem}": f.read_text("utf-8") for f in files})


def _documents(kind: str, pages: dict[str, str]) -> tuple[Document, ...]:
    texts = {name: text for name, page in pages.items() if len(sentences(text := text_of(page))) >= LEAST}
    check(kind, texts.values(), DIGESTS[kind])
    splits = divide({name: len(text) for name, text in texts.items()})
    return tuple(Document(name, splits[name], text, kind) for name, text in texts.items())

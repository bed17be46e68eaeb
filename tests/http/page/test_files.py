"""Files that are opened: text, and Word's."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.http.page.browser import opened
from tests.http.server import Server

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
PARAGRAPHS = """
<w:p><w:pPr><w:tabs><w:tab w:val="left" w:pos="720"/></w:tabs></w:pPr><w:r><w:t>A “heading”</w:t></w:r></w:p>
<w:p><w:r><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">One </w:t></w:r><w:r><w:t>word,</w:t><w:tab/><w:t>a tab</w:t>
<w:br/><w:t>and a line.</w:t></w:r><w:ins><w:r><w:t xml:space="preserve"> Put in.</w:t></w:r></w:ins>
<w:del><w:r><w:delText> Deleted.</w:delText></w:r></w:del><w:moveFrom><w:r><w:t> Moved away.</w:t></w:r></w:moveFrom>
<w:r><w:instrText> PAGE </w:instrText></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>A cell &amp; more</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><mc:Choice>
<w:p><w:r><w:t>In a box</w:t></w:r></w:p></mc:Choice>
<mc:Fallback><w:p><w:r><w:t>In a box</w:t></w:r></w:p></mc:Fallback>
</mc:AlternateContent>
<w:sectPr/>
"""
TEXT = "A “heading”\nOne word,\ta tab\nand a line. Put in.\nA cell & more\nIn a box"


def docx(
    paragraphs: str = PARAGRAPHS,
    namespace: str = W,
    main: str = "word/document.xml",
    compression: int = zipfile.ZIP_DEFLATED,
    before: str = "",
) -> bytes:
    """As ECMA-376 has it: what is needed of it."""
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    files = {
        "[Content_Types].xml": "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>",
        "_rels/.rels": "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>"
        f"<Relationship Id='r1' Type='{relation}' Target='/{main}'/></Relationships>",
        main: f"<?xml version='1.0'?>{before}<w:document xmlns:w='{namespace}'>"
        f"<w:body>{paragraphs}</w:body></w:document>",
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = b"of some program"
    return made.getvalue()


@pytest.fixture(scope="module")
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with opened(browser, f"http://127.0.0.1:{server.port}/") as page:
        yield page


@pytest.mark.parametrize(
    "content",
    [
        docx(),
        docx(compression=zipfile.ZIP_STORED),
        docx(namespace=STRICT, main="word/document2.xml"),
    ],
    ids=["deflated", "stored", "strict, under another name"],
)
def test_the_text_of_a_word_file(page: Page, tmp_path: Path, content: bytes) -> None:
    page.fill("#input", "")
    (tmp_path / "essay.docx").write_bytes(content)
    page.set_input_files("#file", tmp_path / "essay.docx")
    expect(page.locator("#input")).to_have_value(TEXT)
    assert page.is_hidden("#alert")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.docx", docx()[:-200], "a.docx is no whole Word file (.docx): open it in its own program"),
        (
            "b.docx",
            docx(main="word/other.xml").replace(b"word/other.xml", b"word/none.xml!"),
            "b.docx is no whole Word",
        ),
        ("c.docx", docx(before="<!DOCTYPE a [<!ENTITY b 'c'>]>"), "c.docx is no whole Word file"),
        ("d.docx", docx(paragraphs=" " * 51_000_000), "d.docx is no whole Word file"),
        ("e.zip", b"PK\x03\x04", "e.zip is no whole Word file"),
        ("f.pdf", b"%PDF-1.4\nall ASCII", "f.pdf is a PDF, which has letters in places"),
        ("g.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "g.doc is not text in UTF-8"),
        ("h.txt", b"a" * 20_000_001, "h.txt has 21 MB; at most 20 MB are read."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_read_says_why(page: Page, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    page.fill("#input", "before")
    (tmp_path / name).write_bytes(content)
    page.set_input_files("#file", tmp_path / name)
    expect(page.locator("#alert")).to_contain_text(message)
    assert page.input_value("#input") == "before"


def test_a_word_file_of_broken_xml(browser: Browser, server: Server, tmp_path: Path) -> None:
    """In a page of its own: the browser's account of the fault has a style, which the page's policy refuses aloud."""
    (tmp_path / "i.docx").write_bytes(docx(paragraphs="<w:p>"))
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.set_input_files("#file", tmp_path / "i.docx")
    expect(page.locator("#alert")).to_contain_text("i.docx is no whole Word file")
    page.close()

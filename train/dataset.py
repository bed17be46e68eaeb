"""Composes documents with a label for every word: human passages with parts by a machine or by another person."""

import random
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from train.command import Unfit
from train.corpus import Document, sentences
from train.generate import Span

HUMAN, MACHINE = 0, 1
LENGTHS = (40, 350)
"""Least and most words of a composed document, drawn evenly: users' texts are short as well as long."""

_COMMA = re.compile(r"[a-z], (?=[a-z])")


@dataclass(frozen=True)
class Example:
    """A composed document. `words` are exactly `text.split()`; `labels` has HUMAN or MACHINE for each."""

    text: str
    labels: tuple[int, ...]

    @property
    def words(self) -> list[str]:
        """The words that the labels belong to."""
        return self.text.split()


@dataclass(frozen=True)
class Splice:
    """Replaces the characters from `start` to `end` by `text`, whose words all have the same label."""

    start: int
    end: int
    text: str
    label: int


def splice(text: str, splices: Sequence[Splice], first: int = 0, last: int | None = None) -> Example:
    """Apply splices to the human text between the characters `first` and `last`.

    Splices begin and end at the edges of words. Raises ValueError if they overlap.
    """
    pieces: list[tuple[str, int]] = []
    at = first
    for change in sorted(splices, key=lambda s: s.start):
        if change.start < at:
            raise ValueError(f"the splice at {change.start} overlaps the one before it, which ends at {at}")
        pieces += [(text[at : change.start], HUMAN), (change.text, change.label)]
        at = change.end
    pieces.append((text[at:last], HUMAN))
    words = [(word, label) for piece, label in pieces for word in piece.split()]
    return Example(" ".join(word for word, _ in words), tuple(label for _, label in words))


@dataclass(frozen=True)
class _Kind:
    """The spans of one kind of prose. whole: those long enough for a text. openers: those that begin a sentence."""

    names: list[str]
    weights: list[int]
    spans: list[Span]
    openers: list[Span]
    whole: list[Span]

    @classmethod
    def of(cls, documents: Sequence[Document], spans: Sequence[Span]) -> "_Kind":
        names = {d.name for d in documents}
        own = [span for span in spans if span.document in names]
        openers = [span for span in own if span.style != "clause"]
        whole = [span for span in openers if span.style == "long" and len(span.text.split()) >= LENGTHS[0]]
        return cls([d.name for d in documents], [min(len(d.text), 60_000) for d in documents], own, openers, whole)


class Composer:
    """Composes examples from the documents of one split and their machine spans; all kinds are equally frequent.

    transplant: also put spans into human text that they do not continue, as training does for variety.
    """

    def __init__(self, documents: Sequence[Document], spans: Sequence[Span], transplant: bool = False) -> None:
        self.documents = {d.name: d for d in documents}
        self.bounds = {d.name: sentences(d.text) for d in documents}
        self.spans = [span for span in spans if span.document in self.documents]
        self.cut = {span.text: [span.text[a:b] for a, b in sentences(span.text)] for span in self.spans}
        self.by_document = {d.name: [s for s in self.spans if s.document == d.name] for d in documents}
        kinds = dict.fromkeys(d.kind for d in documents)
        self.kinds = {kind: _Kind.of([d for d in documents if d.kind == kind], self.spans) for kind in kinds}
        self.transplant = transplant
        if lacking := [name for name, kind in self.kinds.items() if not kind.openers]:
            count = len(documents)
            raise Unfit(f"no machine spans of {', '.join(lacking)} for these {count} documents; run: make corpus")

    def compose(self, rng: random.Random, kind: str = "any") -> Example:
        """Draw an example; `kind` is "human", "machine", "mixed" or "any" (15 %, 15 % and 70 % of these)."""
        if kind == "any":
            kind = rng.choices(("human", "machine", "mixed"), (15, 15, 70))[0]
        prose = list(self.kinds.values())
        of = prose[0] if len(prose) == 1 else rng.choice(prose)
        length = rng.randint(*LENGTHS)
        if kind == "machine":
            return self._machine(rng, length, of)
        name, first, last = self._passage(rng, length, of, around=kind == "mixed")
        if kind == "human":
            return splice(self.documents[name].text, (), first, last)
        return splice(self.documents[name].text, self._splices(rng, name, of, first, last), first, last)

    def _machine(self, rng: random.Random, length: int, of: "_Kind") -> Example:
        """Draw a long span, and append others, from the same document first, up to about `length` words."""
        first = rng.choice(of.whole or of.openers)
        others = rng.sample(of.openers, min(60, len(of.openers)))
        others.sort(key=lambda span: span.document != first.document)
        text = first.text
        for span in others:
            if len(text.split()) >= length:
                break
            text = f"{text} {span.text}"
        ends = [end for _, end in sentences(text) if len(text[:end].split()) <= length]
        words = text[: ends[-1] if ends else None].split()
        return Example(" ".join(words), (MACHINE,) * len(words))

    def _passage(self, rng: random.Random, length: int, of: "_Kind", around: bool) -> tuple[str, int, int]:
        """Draw consecutive sentences of about `length` words, around the place of a machine span if `around`."""
        if around:
            span = rng.choice(of.spans)
            name, start = span.document, span.start
        else:
            name = rng.choices(of.names, of.weights)[0]
            start = rng.choice(self.bounds[name])[0]
        bounds, text = self.bounds[name], self.documents[name].text
        index = max(0, bisect_left(bounds, (start + 1, 0)) - 1 - rng.randint(0, max(1, length // 30)))
        first = bounds[index][0]
        stop = index
        while stop < len(bounds) - 1 and len(text[first : bounds[stop + 1][1]].split()) <= length:
            stop += 1
        return name, first, bounds[stop][1]

    def _splices(self, rng: random.Random, name: str, of: "_Kind", first: int, last: int) -> list[Splice]:
        """Draw machine spans at their places (if `transplant`, also at others), and human sentences from elsewhere."""
        inside = [b for b in self.bounds[name] if first < b[0] and b[1] <= last]
        share = rng.uniform(0.3, 1.0)
        drawn = [(s.start, self._part(rng, s), MACHINE) for s in self.by_document[name] if first <= s.start < last]
        drawn = [one for one in drawn if rng.random() < max(share, 0.6)]
        for start, _ in inside:
            if rng.random() < 0.12 * share:
                drawn.append((start, self._foreign(rng, of, "whole"), HUMAN))
            elif self.transplant and rng.random() < 0.15 * share:
                drawn.append((start, self._part(rng, rng.choice(of.openers)), MACHINE))
        for start, end in inside:
            commas = [m.end() + start for m in _COMMA.finditer(self.documents[name].text[start:end])]
            if commas and rng.random() < 0.04:
                drawn.append((rng.choice(commas), self._foreign(rng, of, "tail"), HUMAN))
        rng.shuffle(drawn)
        chosen: list[Splice] = []
        ends = [end for _, end in self.bounds[name] if end <= last]
        for start, text, label in drawn:
            # The human text that is replaced is about as long as the new one, and ends with a sentence.
            later = [end for end in ends if end > start]
            if not text or not later:
                continue
            end = min(later, key=lambda e: abs(e - start - len(text)))
            if all(end <= s.start or start >= s.end for s in chosen):
                chosen.append(Splice(start, end, text, label))
        return chosen

    def _part(self, rng: random.Random, span: Span) -> str:
        whole = self.cut[span.text]
        return " ".join(whole[: rng.randint(1, len(whole))])

    def _foreign(self, rng: random.Random, of: "_Kind", how: str) -> str:
        """Draw 1 to 4 sentences from another place; if `how` is "tail", the first begins after a comma."""
        name = rng.choices(of.names, of.weights)[0]
        bounds, text = self.bounds[name], self.documents[name].text
        index = rng.randrange(len(bounds))
        start, end = bounds[index][0], bounds[min(len(bounds) - 1, index + rng.randint(0, 3))][1]
        if how == "tail":
            commas = [m.end() + start for m in _COMMA.finditer(text[start : bounds[index][1]])]
            if not commas:
                return ""
            start = rng.choice(commas)
        return text[start:end]


def word_of_token(text: str, offsets: Sequence[tuple[int, int]]) -> list[int | None]:
    """Return the index in `text.split()` of the word that each token's characters belong to; None for no word.

    Offsets may include the space before a word, so a token belongs to the word of its last character.
    """
    starts, ends, at = [], [], 0
    for word in text.split():
        at = text.index(word, at)
        starts.append(at)
        at += len(word)
        ends.append(at)
    words: list[int | None] = []
    for start, end in offsets:
        index = bisect_left(starts, end) - 1
        words.append(index if end > start and index >= 0 and start < ends[index] else None)
    return words

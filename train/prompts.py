"""Prompts for machine text: continue a text, rewrite a passage, or follow an instruction."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from train.command import Unfit
from train.corpus import Document, sentences
from train.kinds import KINDS

STYLES = {"span": 80, "clause": 48, "long": 400, "rewrite": 110, "instruct": 110}
"""New tokens by style. "span", "clause" (begins inside a sentence) and "long" go on with the text as if it were their
own; "rewrite" and "instruct" answer a request."""

REQUESTS = ("rewrite", "instruct")

TURNS = ("span", "instruct", "clause", "rewrite", "long", "instruct")
"""The styles of a kind's jobs, in turn."""

CONTEXT_WORDS = 80
"""Words of the text that a prompt shows at most."""

_REWRITE = (
    "Rewrite this passage of {genre} in your own words:",
    "Say the same as this passage of {genre}, in clearer words:",
    "Paraphrase this passage of {genre}:",
)
_INSTRUCT = (
    "Here is a part of {genre}. Write the next paragraph.",
    "Go on with this part of {genre} in the same voice, with three or four sentences.",
    "Write a paragraph of {genre} on the same subject as this one:",
)
_CHAT = (
    "<|im_start|>system\nYou write plain prose, without headings or lists.<|im_end|>\n"
    "<|im_start|>user\n{request}\n\n{text}<|im_end|>\n<|im_start|>assistant\n"
)
_COMMA, _SPACE = re.compile(r"[a-z], (?=[a-z])"), re.compile(r"[a-z] (?=[a-z])")


@dataclass(frozen=True)
class Place:
    """The place of a span: its character offset in the document, and the prompt that it answers."""

    document: str
    start: int
    prompt: str


def style_of(turn: int, kind: str) -> str:
    """Return the style of a job. Prose that is not in the public domain is continued instead of rewritten."""
    style = TURNS[turn % len(TURNS)]
    return "span" if style == "rewrite" and not (kind in KINDS and KINDS[kind].free) else style


def choose(documents: Sequence[Document], style: str, count: int, rng: random.Random) -> list[Place]:
    """Draw places for spans. A document's weight is its length, at most 60,000 characters."""
    weights = [min(len(d.text), 60_000) for d in documents]
    places: list[Place] = []
    cut: dict[str, list[tuple[int, int]]] = {}
    while len(places) < count:
        document = rng.choices(documents, weights)[0]
        if document.name not in cut:
            cut[document.name] = sentences(document.text)
        bounds = cut[document.name]
        if len(bounds) < 4:
            raise Unfit(f"the document {document.name} has {len(bounds)} sentences; at least 4 are needed")
        index = rng.randrange(2, len(bounds))
        start, end = bounds[index]
        if style == "clause":
            commas = [m.end() for m in _COMMA.finditer(document.text, start, end)]
            spaces = [m.end() for m in _SPACE.finditer(document.text, start, end)][2:-2]
            if not (inside := commas or spaces):
                continue
            start = rng.choice(inside)
        before, after = bounds[max(0, index - 6)][0], bounds[min(len(bounds) - 1, index + rng.randint(1, 3))][1]
        places.append(Place(document.name, start, _prompt(document, before, start, after, style, rng)))
    return places


def _prompt(document: Document, before: int, start: int, after: int, style: str, rng: random.Random) -> str:  # noqa: PLR0913, PLR0917 - a place in its text
    """Return the prompt, with the text from `before` to `start`, or, for a rewrite, from `start` to `after`."""
    if style == "rewrite":
        shown = " ".join(document.text[start:after].split()[:CONTEXT_WORDS])
    else:
        shown = " ".join(document.text[before:start].split()[-CONTEXT_WORDS:])
    if style not in REQUESTS:
        return shown
    genre = KINDS[document.kind].genre if document.kind in KINDS else "an encyclopaedia"
    request = rng.choice(_REWRITE if style == "rewrite" else _INSTRUCT).format(genre=genre)
    return _CHAT.format(request=request, text=shown)

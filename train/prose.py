"""Writes the prose that conversions are calibrated and verified on: convert/data/prose.jsonl.gz.

    python -m train.prose

It has passages of 12 to 300 words, in turn from the example addresses, from novels and from machine text.
convert/data/README.md has the licences.
"""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

from train.command import run
from train.generate import SPANS
from train.novels import novels

OUT = Path("convert/data/prose.jsonl.gz")
EXAMPLES = Path("examples/test_120_sentences.json")
SEED = 17
WORDS = (12, 25, 50, 100, 200, 300)
PASSAGES = 100  # of each kind


def passages(texts: list[str], draw: random.Random) -> list[str]:
    """One passage of each drawn text, with the lengths in turn, from its first word or from a word within it."""
    found = []
    for number, text in enumerate(draw.sample(texts, min(PASSAGES, len(texts)))):
        words, length = text.split(), WORDS[number % len(WORDS)]
        start = draw.randrange(max(1, len(words) - length + 1))
        found.append(" ".join(words[start : start + length]))
    return found


def chapters(text: str, size: int = 600) -> list[str]:
    """A novel in pieces of `size` words."""
    words = text.split()
    return [" ".join(words[start : start + size]) for start in range(0, len(words) - size, size)]


def make() -> bytes:
    """The file's content, the same every time."""
    draw = random.Random(SEED)
    with gzip.open(SPANS, "rt", encoding="utf-8") as file:
        _, *spans = map(json.loads, file)
    kinds = {
        "address": json.loads(EXAMPLES.read_text(encoding="utf-8"))["sentences"],
        "novel": [piece for novel in novels() for piece in chapters(novel.text)],
        "machine": [span[5] for span in spans if len(span[5].split()) >= WORDS[0]],
    }
    drawn = {kind: passages(texts, draw) for kind, texts in kinds.items()}
    rows = [(kind, texts[place]) for place in range(PASSAGES) for kind, texts in drawn.items()]
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return packed.getvalue()


if __name__ == "__main__":
    run(lambda: OUT.write_bytes(make()))

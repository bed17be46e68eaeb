"""The machine text: what is kept of a continuation, and that an interrupted run goes on without loss or duplication."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from train.command import Unfit
from train.corpus import Document, sentences
from train.generate import KINDS_SPANS, SPANS, clean, finished, load, pack, write
from train.kinds import KINDS, SPLITS, documents
from train.prompts import choose, style_of

TEXT = " ".join(f"This is sentence number {i}, which goes on, and then it ends." for i in range(40))
DOCUMENTS = [Document("one", "train", TEXT), Document("two", "train", TEXT.replace("sentence", "phrase"))]
TOKENS = 60_000


def fake(prompts: Sequence[str], length: int, temperature: float, top_p: float, seed: int) -> list[str]:
    """Write something that depends on everything that a real writer depends on."""
    rng = random.Random(f"{seed}-{temperature}-{top_p}-{length}")  # noqa: S311
    starts = {p: "The" if p.endswith((".", "\n")) else "the" for p in prompts}
    return [f" {starts[p]} machine says {rng.random()} of this. Cut off her" for p in prompts]


class Stopped(Exception):
    pass


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    write(DOCUMENTS, TOKENS, whole, fake)
    calls = 0

    def stopping(*arguments: Any) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Stopped
        return fake(*arguments)

    with pytest.raises(Stopped):
        write(DOCUMENTS, TOKENS, broken, stopping)
    done = broken.read_bytes()
    assert len(done.splitlines()) == 3
    broken.write_bytes(done + b'{"job": 3, "spans": [{"docu')
    write(DOCUMENTS, TOKENS, broken, fake)
    assert broken.read_bytes() == whole.read_bytes()
    write(DOCUMENTS, TOKENS, broken, fake)
    assert broken.read_bytes() == whole.read_bytes()


def test_packing_is_reproducible_and_loads_again(tmp_path: Path) -> None:
    progress, first, second = tmp_path / "p.jsonl", tmp_path / "a.gz", tmp_path / "b.gz"
    write(DOCUMENTS, TOKENS, progress, fake)
    count = pack(DOCUMENTS, progress, first, ["sotu"])
    pack(DOCUMENTS, progress, second, ["sotu"])
    assert first.read_bytes() == second.read_bytes()
    spans = load(DOCUMENTS, first)
    assert len(spans) == count == sum(map(len, finished(progress).values()))
    assert all(span.text.endswith("of this.") for span in spans)
    assert {span.document for span in load(DOCUMENTS[:1], first)} == {"one"}


def test_spans_of_another_text_are_refused(tmp_path: Path) -> None:
    progress, packed = tmp_path / "p.jsonl", tmp_path / "a.gz"
    write(DOCUMENTS, TOKENS, progress, fake)
    pack(DOCUMENTS, progress, packed, ["sotu"])
    changed = [Document("one", "train", TEXT + " More."), DOCUMENTS[1]]
    with pytest.raises(Unfit, match=r"another text of one; run: python -m train\.generate"):
        load(changed, packed)
    with pytest.raises(Unfit, match="is missing"):
        load(changed, tmp_path / "none.gz")


@pytest.mark.parametrize(
    ("raw", "style", "kept"),
    [
        (" We go on. And we st", "span", "We go on."),
        (" We go on.\nAnd on.\n\nFOREIGN POLICY\nMore.", "span", "We go on. And on."),
        (" We go on. As an AI, I cannot.", "span", "We go on."),
        (" We go on. Peace is **good**.", "span", "We go on."),
        (" We go on. We stop. We go on. We", "span", "We go on. We stop."),
        (" and so it ends. It does.", "clause", "and so it ends. It does."),
        (" And so it ends.", "clause", ""),
        (" so it ends.", "span", ""),
        ("", "span", ""),
        ("Here is a revision:\nWe go on. The end.", "instruct", "We go on. The end."),
        ('Sure, I can do it.\n"We go on."', "rewrite", "We go on."),
        ("We go on. The passage is clear.", "rewrite", "We go on."),
        (" a b c d a b c d a b c d again.", "clause", ""),
    ],
)
def test_what_betrays_a_machine_is_cut(raw: str, style: str, kept: str) -> None:
    assert clean(raw, style) == kept


def test_what_the_machine_copies_is_not_its_own() -> None:
    human = "We hold that all of these truths are plain to everyone here."
    assert clean("It is so. We hold that all of these truths are plain. More.", "instruct", human) == "It is so."
    assert clean("We hold that all is plain.", "instruct", human) == "We hold that all is plain."


@pytest.mark.parametrize("kind", ["span", "clause", "long"])
def test_places_lie_where_their_kind_says(kind: str) -> None:
    places = choose(DOCUMENTS, kind, 50, random.Random(1))  # noqa: S311
    texts = {d.name: d.text for d in DOCUMENTS}
    starts = {a for a, _ in sentences(TEXT)}
    for place in places:
        text = texts[place.document]
        assert text[: place.start].endswith(place.prompt + " ")
        if place.document == "one":
            assert (place.start in starts) == (kind != "clause")


def test_requests_show_a_passage_and_name_its_genre() -> None:
    novel = [Document("one", "train", TEXT, "novels")]
    for style in ("rewrite", "instruct"):
        for place in choose(novel, style, 20, random.Random(1)):  # noqa: S311
            assert "of a novel" in place.prompt
            assert place.prompt.endswith("<|im_start|>assistant\n")
            shown = place.prompt.rpartition("<|im_end|>")[0].rpartition("\n\n")[2]
            start = TEXT.index(shown)
            assert (start == place.start) == (style == "rewrite")


def test_only_what_is_in_the_public_domain_is_rewritten() -> None:
    styles = {kind: {style_of(turn, kind) for turn in range(6)} for kind in ("novels", "essays", "wikipedia")}
    assert "rewrite" in styles["novels"]
    assert "rewrite" not in styles["essays"] | styles["wikipedia"]


def test_a_short_document_is_named() -> None:
    with pytest.raises(Unfit, match="tiny has 1 sentences"):
        choose([Document("tiny", "train", "Only this.")], "span", 1, random.Random(1))  # noqa: S311


@pytest.mark.parametrize(("path", "least"), [(SPANS, 1000), pytest.param(KINDS_SPANS, 500, marks=pytest.mark.slow)])
def test_the_committed_spans_belong_to_their_documents(path: Path, least: int) -> None:
    """Slow: every kind but the addresses is of packages that are downloaded."""
    found = [d for split in SPLITS for d in documents(split, ["addresses"] if path == SPANS else list(KINDS))]
    texts = {d.name: d.text for d in found}
    spans = load(found, path)
    assert len(spans) > least
    for span in spans:
        before = texts[span.document][: span.start]
        assert before.endswith(" ")
        assert len(span.text.split()) >= 4
        assert span.text[0].islower() == (span.style == "clause")

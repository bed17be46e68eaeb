"""The `wordtell` command, as a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bento import artifact
from bento.artifact import ModelFolder
from tests import fakes


@pytest.fixture
def fake(fake_folder: ModelFolder) -> dict[str, str]:
    return {"WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path), "WORDTELL_MODEL__WINDOW_OVERLAP": "16"}


def wordtell(*arguments: str, settings: dict[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bento.cli", *arguments],
        env={**os.environ, **settings},
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_score_as_json(fake: dict[str, str]) -> None:
    text = "The cement, \U0001f600 of the\nmovement. " * 50
    done = wordtell("score", "-", "--json", settings=fake, text=text)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [item["word"] for item in answer["words"]] == text.split()
    assert all(0 <= item["probability"] <= 1 for item in answer["words"])
    assert answer["model_version"].startswith("fake-fp32-")


def test_score_prints_the_text_as_it_is(fake: dict[str, str], tmp_path: Path) -> None:
    text = "  The [bold]cement[/bold],\n\n\tof the \u05e9\u05dc\u05d5\u05dd."
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    done = wordtell("score", str(tmp_path / "text.txt"), settings=fake)
    assert done.returncode == 0, done.stderr
    assert text.split() == done.stdout.split("\n\n5 words")[0].split()
    assert "5 words, mean probability" in done.stdout


def test_score_colours_words_by_probability(fake: dict[str, str]) -> None:
    done = wordtell("score", "-", settings=fake | {"FORCE_COLOR": "1", "TERM": "xterm-256color"}, text="the a b c d")
    assert done.returncode == 0, done.stderr
    assert "\x1b[" in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "text", "says"),
    [
        (["score", "none.txt"], "", "none.txt: No such file or directory"),
        (["score", "."], "", ".: Is a directory"),
        (["score", "-"], " \n", "- is blank"),
    ],
)
def test_a_text_that_cannot_be_scored(fake: dict[str, str], arguments: list[str], text: str, says: str) -> None:
    done = wordtell(*arguments, settings=fake, text=text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"wordtell: {says}")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_is_no_text(fake: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"abc\xff")
    done = wordtell("score", str(tmp_path / "data"), settings=fake)
    assert done.returncode == 1
    assert "data is not UTF-8 text (byte 3)" in done.stderr


def test_score_draws_what_it_prints(fake: dict[str, str], tmp_path: Path) -> None:
    done = wordtell("score", "-", "--svg", str(tmp_path / "out.svg"), settings=fake, text="the cement")
    assert done.returncode == 0, done.stderr
    picture = (tmp_path / "out.svg").read_text()
    assert picture.startswith("<svg")
    assert "cement" in picture
    assert "url(" not in picture.replace("url(#", "")


def test_config_shows_values_and_where_they_came_from(fake: dict[str, str]) -> None:
    done = wordtell("config", settings=fake | {"WORDTELL_API__KEYS": "[a-secret-key]"})
    assert done.returncode == 0, done.stderr
    assert "model.window_overlap = 16  (environment WORDTELL_MODEL__WINDOW_OVERLAP)" in done.stdout
    assert "api.max_words = 350  (shared_config.yaml)" in done.stdout
    assert "api.timeout_s = 120  (default)" in done.stdout
    assert "a-secret-key" not in done.stdout


@pytest.mark.parametrize("keys", ["s3cr3t-key-of-prod", "12345678", "s3cr3t"])
def test_no_command_prints_a_key(fake: dict[str, str], keys: str) -> None:
    for command in (["config"], ["check"], ["score", "-"]):
        done = wordtell(*command, settings=fake | {"WORDTELL_API__KEYS": keys}, text="a")
        assert (done.returncode != 0) == (keys == "s3cr3t")
        assert keys not in done.stdout + done.stderr
    if keys == "s3cr3t":
        assert done.stderr == (
            "wordtell: environment WORDTELL_API__KEYS: api.keys[0]: has 6 characters: at least 8 are needed\n"
        )


def test_what_is_printed_of_settings_is_one_line_each(fake: dict[str, str], tmp_path: Path) -> None:
    folder = shutil.copytree(fake["WORDTELL_MODEL__CHECKPOINT_DIR"], tmp_path / "a\nb\x1b[31m")
    forged = fake | {"WORDTELL_MODEL__CHECKPOINT_DIR": str(folder), "WORDTELL_MODEL__NAME": "x\napi.keys = none"}
    done = wordtell("config", settings=forged)
    assert r"/a\nb\x1b[31m  (environment" in done.stdout
    assert r"model.name = x\napi.keys = none  (" in done.stdout
    (folder / "manifest.json").unlink()
    done = wordtell("check", settings=forged)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert r"/a\nb\x1b[31m/manifest.json: no such file" in done.stderr


def test_config_of_a_wrong_key(fake: dict[str, str]) -> None:
    done = wordtell("config", settings=fake | {"WORDTELL_CPU__LANE": "3"})
    assert done.returncode == 1
    assert done.stderr == (
        "wordtell: unknown environment variable WORDTELL_CPU__LANE; did you mean 'WORDTELL_CPU__LANES'?\n"
    )


def test_check_says_what_would_be_served(fake: dict[str, str]) -> None:
    done = wordtell("check", settings=fake)
    assert done.returncode == 0
    assert done.stdout.startswith("fake-fp32-")


def test_inspect_prints_the_manifest_of_a_whole_folder(fake_folder: ModelFolder, tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    shutil.copytree(fake_folder.path, folder)
    manifest = replace(fake_folder.manifest, figures={"max_dp": 0.00123456}, source={"checkpoint": "theirs"})
    (folder / artifact.MANIFEST).write_text(manifest.to_json())
    done = wordtell("inspect", str(folder), settings={})
    assert done.returncode == 0, done.stderr
    lines = {line.rsplit("  ", 1)[0].strip(): line.rsplit("  ", 1)[-1].strip() for line in done.stdout.splitlines()}
    assert f"fake-fp32-{manifest.digest}" in lines
    assert lines["figure: max_dp"] == "0.001235"
    assert lines["source: checkpoint"] == "theirs"
    assert lines["positive label"] == manifest.positive_label
    assert manifest.files["model.onnx"].sha256 in lines["model.onnx"]
    assert json.loads(wordtell("inspect", str(folder), "--json", settings={}).stdout) == json.loads(manifest.to_json())
    (folder / "model.onnx").write_bytes(b"")
    done = wordtell("inspect", str(folder), settings={})
    assert done.returncode == 1
    assert "model.onnx: has 0 bytes" in done.stderr


def test_score_lists_passages(fake: dict[str, str]) -> None:
    vocabulary = fakes.tokenizer().get_vocab()
    low, high = (end(fakes.LETTERS, key=lambda letter: fakes.logit(vocabulary[letter])) * 8 for end in (min, max))
    text = f"{low} " * 9 + f"{high} " * 9 + "\x1b[31m\n" + f"{high} " * 9 + f"{low} " * 30
    listed = wordtell("score", "-", "--spans", settings=fake, text=text)
    assert listed.returncode == 0, listed.stderr
    answer = json.loads(wordtell("score", "-", "--json", settings=fake, text=text).stdout)
    assert answer["spans"]
    assert answer["summary"]["passages"] == len(answer["spans"])
    assert answer["threshold"]["value"] == 0.5
    lines = listed.stdout.splitlines()
    assert len(lines) == len(answer["spans"])
    for line, span in zip(lines, answer["spans"], strict=True):
        edges, probability, shown = line.split("\t")
        assert edges == f"{span['first_word']}-{span['last_word']}"
        assert float(probability) == span["probability"]
        assert shown.split() == text[span["start"] : span["end"]].replace("\x1b", " ").split()
    assert "\x1b" not in listed.stdout

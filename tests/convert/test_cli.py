"""The command as people and scripts meet it, in processes of its own where that matters."""

from __future__ import annotations

import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from typer.testing import CliRunner

from bento import artifact
from convert import cli
from convert.errors import INTERRUPTED
from convert.order import Order
from tests.convert.conftest import MakeCheckpoint

COMMAND = (sys.executable, "-m", "convert")
PATIENCE_S = 120
GRAPHS = {"model.onnx", "model.fused.onnx", "model.onnx.data"}
FILES = GRAPHS | {"manifest.json", "tokenizer.json", "README.md", "report.json", "report.md", "report.svg"}


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def left(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def test_help_tells_what_there_is() -> None:
    code, text, _ = run("--help")
    assert code == 0
    options = {f"--{name.replace('_', '-')}" for name in Order.__dataclass_fields__} - {"--source", "--positive-labels"}
    for word in ("CHECKPOINT", "130 interrupted", "--positive-label", *options):
        assert word in text


def test_a_conversion_makes_a_folder_that_bento_loads(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text, progress = run(make_checkpoint(), "--out", out, "--precision", "fp32", "--name", "mine")
    assert code == 0
    manifest = artifact.load(out).manifest
    assert (manifest.name, manifest.precision, manifest.positive_label) == ("mine", "fp32", "machine")
    assert manifest.source == {"checkpoint": "checkpoint"}
    assert "torch" in manifest.versions
    assert left(out) == FILES
    assert manifest.figures["max_dp"] < 1e-5
    assert "came without a model card" in (out / "README.md").read_text()
    assert text.startswith(f"{out}: mine in fp32, ")
    assert "max |dp|" in text
    assert text.count("\n") == 1
    for stage in ("load", "export", "check", "write", "verify"):
        assert stage in progress
    assert "quantise" not in progress


def test_nobody_is_asked_away_from_a_terminal_and_a_card_is_kept(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    source = make_checkpoint(labels={0: "A", 1: "B", 2: "C"})
    (source / "README.md").write_text("# Theirs")
    out = tmp_path / "out"
    several = "--positive-label", "C", "--positive-label", "A", "--word-score", "max"
    code, _, progress = run(source, "--out", out, *several, "--max-tokens", "64")
    assert code == 0
    assert "quantise" in progress
    manifest = artifact.load(out).manifest
    assert (manifest.positive_label, manifest.word_score, manifest.max_tokens) == (("A", "C"), "max", 64)
    assert (out / "README.md").read_text() == "# Theirs"


def test_a_single_logit_is_a_sigmoid(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    code, _, _ = run(make_checkpoint(labels={0: "machine"}), "--out", tmp_path / "out", "--precision", "fp32")
    assert code == 0
    assert artifact.load(tmp_path / "out").manifest.labels == ("machine",)


def test_errors_are_one_line_with_their_own_code(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, _, text = run(make_checkpoint(labels={0: "A", 1: "B"}), "--out", out)
    assert code == 2
    assert text.splitlines()[-1].startswith("error: ")
    assert "--positive-label one of: A, B" in text
    code, _, text = run(tmp_path / "nothing", "--out", out)
    assert code == 2
    assert text.splitlines()[-1].startswith(f"error: {tmp_path / 'nothing'}: no such folder")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    code, _, text = run(make_checkpoint(), "--out", tmp_path / "mine")
    assert code == 5
    assert "no model folder" in text
    assert "Traceback" not in text
    assert left(tmp_path) == {"checkpoint", "mine"}


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    given = [str(argument) for argument in arguments]
    # Tests that run in the background of a shell inherit an ignored Ctrl-C, and Python then leaves it ignored.
    options.setdefault("preexec_fn", partial(signal.signal, signal.SIGINT, signal.SIG_DFL))
    return subprocess.Popen([*COMMAND, *given, "--verify-words", "200"], stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize(
    ("kind", "answers", "expected"), [("bert", "1\n2\n", "fp32 first"), ("deberta-v3", "7\n\n9\n\n", "int8 mean")]
)
def test_at_a_terminal_it_asks(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, kind: str, answers: str, expected: str
) -> None:
    ours, theirs = pty.openpty()
    process = start(make_checkpoint(kind), "--out", tmp_path / "out", stdin=theirs, stdout=theirs)
    os.close(theirs)
    os.write(ours, answers.encode())
    _, errors = process.communicate(timeout=PATIENCE_S)
    shown = drain(ours)
    assert process.returncode == 0, errors
    # Stages and their times, and no word of the exporter's or of other libraries.
    assert all(re.fullmatch(r"[\w ]+ +\d+\.\d s", line) for line in errors.splitlines()), errors
    assert "1  FP32" in shown
    assert "2  INT8" in shown
    assert "(2)" in shown
    assert "2  first" in shown
    assert "(1)" in shown
    manifest = artifact.load(tmp_path / "out").manifest
    assert f"{manifest.precision} {manifest.word_score}" == expected


def test_who_does_not_answer_gets_nothing(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(tmp_path, "--out", tmp_path / "out", stdin=theirs, stdout=theirs)
    os.close(theirs)
    os.write(ours, b"\x04")
    _, errors = process.communicate(timeout=PATIENCE_S)
    drain(ours)
    assert process.returncode == INTERRUPTED, errors
    assert "Traceback" not in errors


def drain(terminal: int) -> str:
    """What a process that has ended wrote to its terminal."""
    pieces = []
    while select.select([terminal], [], [], 0)[0]:
        try:
            pieces.append(os.read(terminal, 4096))
        except OSError:  # Linux's way to say that the other side is closed
            break
    os.close(terminal)
    return b"".join(pieces).decode()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_the_last_good_folder_and_nothing_else(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, signal_number: int
) -> None:
    source, parent = make_checkpoint("bert"), tmp_path / "models"
    (parent / "out").mkdir(parents=True)
    (parent / "out" / artifact.MANIFEST).write_text("the last good one")
    (parent / "out" / artifact.MODEL).touch()
    process = start(source, "--out", parent / "out")
    deadline = time.monotonic() + PATIENCE_S
    while not list(parent.glob(".out.*")):  # the export, which takes seconds, has begun
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal_number)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == INTERRUPTED, errors
    assert "Traceback" not in errors
    assert "interrupted" in errors.splitlines()[-1]
    assert left(parent) == {"out"}
    assert (parent / "out" / artifact.MANIFEST).read_text() == "the last good one"


def test_a_full_disk_is_one_line_and_leaves_nothing(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    source, parent = make_checkpoint(), tmp_path / "models"
    parent.mkdir()

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    process = start(source, "--out", parent / "out", "--precision", "fp32", preexec_fn=small_files)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, errors
    assert "cannot be written" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert left(parent) == set()


def test_a_hub_name_is_taken_from_the_hub_or_refused(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub library's own settings for working offline: the calls are the same, and its cache is the hub."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--team--tiny"
    shutil.copytree(make_checkpoint(), cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert run("team/tiny", "--out", tmp_path / "out")[0] == 0
    manifest = artifact.load(tmp_path / "out").manifest
    assert manifest.name == "tiny"
    assert manifest.source == {"checkpoint": "team/tiny", "revision": commit}
    code, _, errors = run("team/other", "--out", tmp_path / "other")
    assert code == 2
    assert "team/other: no such folder here, and no hub" in errors

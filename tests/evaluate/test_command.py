"""`wordtell evaluate`, as it is typed: folders and servers, one model and two, and the report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bento.settings import ROOT
from tests.http.server import Server, environment, free_port

FILE = ROOT / "examples" / "mixed.jsonl"
FP32 = ROOT / "models" / "wordtell-small-fp32"
KEY = "a-key-of-a-test"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded model, behind a key and a base path, and with smaller requests than the client's own."""
    settings = {
        "WORDTELL_API__KEYS": KEY,
        "WORDTELL_API__BASE_PATH": "/wordtell",
        "WORDTELL_API__MAX_SENTENCES": "7",
    }
    with Server(tmp_path_factory.mktemp("evaluate") / "log", settings) as server:
        yield f"http://127.0.0.1:{server.port}/wordtell"


def evaluate(*arguments: str | Path, key: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bento.cli", "evaluate", *map(str, arguments)]
    settings = environment({"API_KEY": key, "PYTHONPATH": str(ROOT)})
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, cwd=ROOT)


def cells(printed: str) -> dict[str, list[str]]:
    """The table: its columns' cells by the name of the row; "" is the head."""
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    rows[0] = ["", *rows[0]]
    return {row[0]: row[1:] for row in rows if row[0] != "---"}


def test_a_folder_and_a_server_of_it_have_the_same_figures(address: str, tmp_path: Path) -> None:
    of_folder = evaluate(FILE)
    assert of_folder.returncode == 0, of_folder.stderr
    assert of_folder.stdout.startswith("file: mixed.jsonl, texts: 40, wholly human texts: 18, words: 7773")
    of_server = evaluate(FILE, "--model", address, key=KEY)
    assert of_server.returncode == 0, of_server.stderr
    assert of_server.stdout == of_folder.stdout


def test_two_models_are_compared_and_the_report_is_written(address: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    done = evaluate(FILE, "--model", address, "--against", FP32, "--out", out, key=KEY)
    assert done.returncode == 0, done.stderr
    table = cells(done.stdout)
    names = table.pop("")
    assert names[0].startswith("wordtell-small-int8-")
    assert names[1].startswith("wordtell-small-fp32-")
    assert names[2] == "difference"
    report = json.loads((out / "report.json").read_text())
    figures = report.pop("figures")
    assert list(figures) == names
    assert report["texts"] == 40
    for name, values in table.items():
        first, second, difference = (figures[column][name] for column in names)
        assert values[0].startswith(f"{first[0]:.3f} [")
        assert difference[0] == pytest.approx(second[0] - first[0], abs=1e-9)
        assert difference[1] <= difference[0] <= difference[2], name
        assert "-0.000" not in " ".join(values)
    assert figures[names[0]] != figures[names[1]]
    page = (out / "report.md").read_text()
    assert all(line in page for line in done.stdout.splitlines() if line.startswith("| "))
    for picture in ("roc", "reliability", "length"):
        assert f"![{picture}]({picture}.png)" in page
        assert (out / f"{picture}.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_model_against_itself_differs_in_nothing(tmp_path: Path) -> None:
    done = evaluate(FILE, "--model", FP32, "--against", FP32)
    assert done.returncode == 0, done.stderr
    table = cells(done.stdout)
    first, second, _ = table.pop("")
    assert second == f"{first} ({FP32})"
    assert {row[2] for row in table.values()} <= {"0.000 [0.000, 0.000]", "-"}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--model", "{address}"], "{address}: texts[0]: unauthorized (401)"),
        (["--model", "{nobody}"], "{nobody}: texts[0]: no answer within 10 s of waiting (no connection)"),
        (["--against", "{folder}/none"], "{folder}/none: no such model folder"),
        (["--model", "{folder}"], "{folder}"),
        (["--out", "{file}/report"], "{file}/report: Not a directory: name another folder with --out"),
    ],
)
def test_what_cannot_be_is_one_line(address: str, tmp_path: Path, options: list[str], line: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    names = {
        "address": address,
        "nobody": f"http://127.0.0.1:{free_port()}",
        "folder": str(tmp_path),
        "file": str(file),
    }
    done = evaluate(FILE, *(option.format(**names) for option in options))
    assert done.returncode != 0
    (told,) = done.stderr.splitlines()
    assert told.startswith(f"wordtell: {line.format(**names)}"), told

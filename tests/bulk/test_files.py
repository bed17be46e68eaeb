"""Every format in, every format out: the same scores, in order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bento.detector import Detector
from bulk import commands
from bulk.errors import InputError, NoColumn, OutputError
from bulk.run import Outcome
from tests.bulk import files


def score(detector: Detector, source: Path, output: Path, **options: Any) -> Outcome:
    made = {"text": None, "name": None, "include": "scores", "kind": None, "output_format": "jsonl", "rows": 10_000}
    order = commands.order(str(source), str(output), **{**made, **options})
    return commands.run(order, detector, commands.sources(order))


INPUTS = ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2", "a.csv", "a.csv.gz", "a.parquet"]
OUTPUTS = ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.csv", "out.csv.bz2", "out.parquet", "folder"]


def expected(detector: Detector, made: list[dict[str, Any]]) -> list[list[float]]:
    found = asyncio.run(detector.score([row["text"] for row in made]))
    return [[round(float(value), 4) for value in scores] for scores in found.words]


@pytest.mark.parametrize(("name", "out"), [*zip(INPUTS, OUTPUTS, strict=True)])
def test_formats(detector: Detector, tmp_path: Path, name: str, out: str) -> None:
    made = files.rows(150)
    outcome = score(detector, files.write(tmp_path / name, made), tmp_path / out, rows=40)
    assert outcome == Outcome(150, 0)
    found = files.read(tmp_path / out)
    assert [row["id"] for row in found] == [row["id"] for row in made]
    for row, scores in zip(found, expected(detector, made), strict=True):
        np.testing.assert_allclose(row["scores"], scores, atol=1e-6)
    assert {row["model_version"] for row in found} == {detector.version}
    assert {row["error"] for row in found} == {None}
    assert not list(tmp_path.glob("*.parts"))


def test_a_folder_is_all_its_files_in_order_and_a_glob_some(detector: Detector, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    for name in ("1.jsonl", "b/2.parquet"):
        files.write(folder / name, files.rows(5))
    (folder / "c.txt").write_text("a text\nof two lines")
    (folder / ".hidden.jsonl").write_text("{}")
    (folder / "image.png").write_bytes(b"\0")
    assert score(detector, folder, tmp_path / "all").rows == 11
    assert files.read(tmp_path / "all")[-1]["id"] == str(folder / "c.txt")
    assert len(files.read(tmp_path / "all")[-1]["scores"]) == 5
    assert score(detector, Path(f"{folder}/**/*.parquet"), tmp_path / "some").rows == 5


def test_spans_and_summary(detector: Detector, tmp_path: Path) -> None:
    source = files.write(tmp_path / "a.jsonl", files.rows(20))
    for name in ("out.jsonl", "out.parquet"):
        score(detector, source, tmp_path / name, include="spans,summary")
        found = files.read(tmp_path / name)
        assert set(found[0]) == {"id", "spans", "summary", "model_version", "error"}
        assert found[0]["summary"].keys() == {"mean", "passages", "machine_share", "abstained"}
        assert [len(row["spans"]) for row in found] == [row["summary"]["passages"] for row in found]


def test_a_row_that_cannot_be_scored_has_its_error(detector: Detector, tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    lines = ['{"id": 1, "text": "the cat"}', "{broken", '{"id": 2, "text": 5}', '{"id": 3}', "[]", '{"text": " "}']
    source.write_text("\n".join([*lines, '{"id": 4, "text": "\\ud800"}', '{"id": 5, "text": "the dog"}']))
    assert score(detector, source, tmp_path / "out", rows=3) == Outcome(8, 6)
    found = files.read(tmp_path / "out")
    assert [row["id"] for row in found] == [1, f"{source}:1", 2, 3, f"{source}:4", f"{source}:5", 4, 5]
    assert [bool(row["error"]) for row in found] == [False, *[True] * 6, False]
    assert found[2]["error"] == "text is a number, not a text"
    names = sorted(path.name for path in (tmp_path / "out").glob("part-*"))
    assert names[0] == "part-000000000000-000000000003-errors-2.jsonl"


def test_broken_csv_lines(detector: Detector, tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(b'id,text\n1,the cat\n2\n3,"the ""dog"""\n4,\xff\n')
    assert score(detector, source, tmp_path / "out.jsonl") == Outcome(4, 2)
    found = files.read(tmp_path / "out.jsonl")
    assert [row["error"] for row in found] == [
        None,
        "1 fields where the first line has 2",
        None,
        "text is not UTF-8 text",
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_column_that_is_not_there(detector: Detector, tmp_path: Path, name: str) -> None:
    source = files.write(tmp_path / name, files.rows(3))
    with pytest.raises(NoColumn, match=r"has no column body; its columns: id, text, other: name one with --text"):
        score(detector, source, tmp_path / "out", text="body")
    with pytest.raises(NoColumn, match=r"has no column number; .* --id"):
        score(detector, source, tmp_path / "out", name="number")
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be_read(detector: Detector, tmp_path: Path) -> None:
    whole = files.write(tmp_path / "a.parquet", files.rows(500))
    whole.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.parquet is no whole Parquet file"):
        score(detector, whole, tmp_path / "out")
    packed = files.write(tmp_path / "a.jsonl.gz", files.rows(12_000))
    packed.write_bytes(packed.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"cannot be read further .*: is it whole"):
        score(detector, packed, tmp_path / "out", rows=1000)
    assert len(files.read(tmp_path / "out")) % 1000 == 0
    for name, message in (("none.jsonl", "does not exist"), ("a.bin", "has no known ending")):
        (tmp_path / "a.bin").write_bytes(b"")
        with pytest.raises(InputError, match=message):
            score(detector, tmp_path / name, tmp_path / "other")


def test_an_output_of_another_run_is_left_as_it_is(detector: Detector, tmp_path: Path) -> None:
    source, out = files.write(tmp_path / "a.jsonl", files.rows(30)), tmp_path / "out"
    score(detector, source, out, rows=10)
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(OutputError, match="is of another run: its include is"):
        score(detector, source, out, include="summary", rows=10)
    with pytest.raises(OutputError, match="its files is"):
        score(detector, files.write(tmp_path / "b.jsonl", files.rows(30)), out, rows=10)
    assert score(detector, source, out, rows=10) == Outcome(30, 0)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    single = tmp_path / "single.jsonl"
    score(detector, source, single)
    with pytest.raises(OutputError, match="exists"):
        score(detector, source, single)
    with pytest.raises(OutputError, match="holds other files"):
        score(detector, source, tmp_path)

"""A killed run goes on where it was: the same bytes as of a run that nobody killed."""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.bulk import files

COUNT, SHARD = 6_000, 300


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = files.rows(COUNT)
    made[7]["text"] = None
    return files.write(tmp_path_factory.mktemp("in") / "a.jsonl", made)


def contents(path: Path) -> dict[str, bytes]:
    found = path.iterdir() if path.is_dir() else [path]
    return {file.name if path.is_dir() else "": file.read_bytes() for file in found}


def run(model: Path, *arguments: object, kill_after: float | None = None) -> int:
    """The exit code. kill_after: seconds after the first shard, or the beginning where there is one."""
    process = files.start(model, *arguments)
    try:
        if kill_after is not None:
            process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    return process.returncode


def kills(model: Path, source: Path, out: Path, number: int, longest_s: float) -> int:
    """End runs at random moments, and let the last one finish. How many were really killed."""
    chance, killed = random.Random(), 0  # noqa: S311 - random moments
    for _ in range(number):
        code = run(model, source, out, "--shard-rows", SHARD, kill_after=chance.uniform(0.5, longest_s))
        killed += code == -signal.SIGKILL
    return killed


@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_a_killed_run_leaves_the_same_bytes(model: Path, source: Path, tmp_path: Path, name: str) -> None:
    whole, out = tmp_path / "whole" / name, tmp_path / "killed" / name
    whole.parent.mkdir()
    out.parent.mkdir()
    assert run(model, source, whole, "--shard-rows", SHARD) == 2
    process = files.start(model, source, out, "--shard-rows", SHARD)
    parts = out if name == "out" else out.with_name(f"{name}.parts")
    deadline = time.monotonic() + 60
    while not list(parts.glob("part-000000000600*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not out.is_file()
    assert run(model, source, out, "--shard-rows", SHARD) == 2
    assert contents(out) == contents(whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.jsonl.gz", "out"])
def test_fifty_kills_at_random_moments(model: Path, source: Path, tmp_path: Path, name: str) -> None:
    whole, out = tmp_path / "whole" / name, tmp_path / "killed" / name
    whole.parent.mkdir()
    out.parent.mkdir()
    started = time.monotonic()
    assert run(model, source, whole, "--shard-rows", SHARD) == 2
    took = time.monotonic() - started
    killed = 0
    for turn in range(50):
        if out.is_file() or (
            out.exists() and sum(map(len, contents(out).values())) == sum(map(len, contents(whole).values()))
        ):
            assert contents(out) == contents(whole)
            for path in [out] if out.is_file() else list(out.iterdir()):
                path.unlink()  # it is done: from the beginning
        killed += kills(model, source, out, 1, took) if turn % 2 else kills(model, source, out, 1, took / 2)
    print(f"{killed} killed")
    code = run(model, source, out, "--shard-rows", SHARD)
    assert code == 2 or out.is_file()
    assert contents(out) == contents(whole)
    assert killed >= 25


def test_a_pipe_is_bounded_and_goes_both_ways(model: Path) -> None:
    process = files.start(model, "-", "-", "--include", "summary", stdin=subprocess.PIPE)
    lines = "".join(json.dumps(row) + "\n" for row in files.rows(500))
    out, said = process.communicate(lines.encode(), timeout=60)
    assert process.returncode == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == [f"row {index}" for index in range(500)]
    assert b"500 rows, 0 of them with an error" in said


def test_a_full_disk_is_one_line_and_loses_nothing(model: Path, source: Path, tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk: writing fails in the same place."""
    out = tmp_path / "out"
    limit = 30_000
    process = files.start(
        model,
        source,
        out,
        "--shard-rows",
        SHARD,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (
        said.decode().strip().splitlines()[-1].startswith(f"wordtell: {out} cannot be written (File too large): make")
    )
    assert not list(out.glob("part-*"))
    assert run(model, source, out, "--shard-rows", SHARD) == 2
    assert len(files.read(out)) == COUNT


def test_two_runs_do_not_write_one_folder(model: Path, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = files.start(model, source, out)
    while not (out / "_run.json").exists() and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # it must not end before the second begins
    second = files.start(model, source, out)
    _, said = second.communicate(timeout=60)
    first.kill()
    first.communicate()
    assert (second.returncode, b"is being written by another process" in said) == (1, True)

"""Texts in files of every kind, and the command in a process of its own."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bento.settings import ROOT, variable
from tests import fakes

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "dog", "run", "over", "fields"]


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Of 1 to 60 words, ids unlike each other."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    return [
        {"id": f"row {index}", "text": " ".join(chance.choices(WORDS, k=chance.randint(1, 60))), "other": index}
        for index in range(count)
    ]


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    """In the format of its name, compressed as it says."""
    kind = path.name.split(".")[1]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(made), path)
        return path
    with pa.output_stream(str(path), compression="detect") as stream:
        if kind == "jsonl":
            stream.write("".join(json.dumps(row) + "\n" for row in made).encode())
        else:
            lines = [",".join(made[0]), *(f'{row["id"]},"{row["text"]}",{row["other"]}' for row in made)]
            stream.write("\n".join(lines).encode())
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Of a file or of all shards of a folder, as Python values."""
    if path.is_dir():
        return [row for part in sorted(path.glob("part-*")) for row in read(part)]
    if path.name.endswith(".parquet"):
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    with pa.input_stream(str(path), compression="detect") as stream:
        text = stream.read().decode()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    cells = list(csv.DictReader(text.splitlines()))
    return [row | {"scores": json.loads(row["scores"] or "null"), "error": row["error"] or None} for row in cells]


def model(path: Path) -> Path:
    """A fake model folder."""
    return fakes.write_folder(path, max_tokens=256).path


def start(folder: Path, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """`wordtell batch` with a model."""
    environment = os.environ | {variable("model.checkpoint_dir"): str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bento.cli", "batch", *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, env=environment, **pipes)

"""Results as Markdown: what the tables of benchmarks/figures.py have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NOT_YET = "Not measured here yet."


def read(results: Path, name: str) -> Any:
    """A result's JSON; None when it was not measured."""
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def seconds(value: float) -> str:
    """For people."""
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.1f} s"


def times(value: float | None) -> str:
    """How many times as fast."""
    return "" if value is None else f"{value:.2f} x"


def cell(text: str) -> str:
    """A text that fits into a cell."""
    return " ".join(text.replace("|", "/").split())[:300]


def machine(result: Mapping[str, Any]) -> str:
    """The machine and the command of a result."""
    found = result["machine"]
    flags = ", ".join(found["flags"]) or "none of those that matter"
    cores = result.get("cores", found["cores"])
    return f"{found['cpu']}, {cores} cores ({flags}). `{result['command']}`"

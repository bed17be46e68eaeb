"""`wordtell inspect`: what a model folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from bento import artifact


def inspect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A model folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as it is.")] = False,
) -> None:
    """Compare a model folder with its checksums, and print what its manifest says of it."""
    manifest = artifact.load(folder).manifest
    if as_json:
        print(manifest.to_json(), end="")
        return
    rows = {
        "architecture": manifest.architecture,
        "precision": manifest.precision,
        "labels": ", ".join(manifest.labels),
        "positive label": ", ".join(manifest.positive_labels),
        "activation": manifest.activation,
        "word score": manifest.word_score,
        "longest window": f"{manifest.max_tokens} tokens",
        **{f"source: {name}": value for name, value in manifest.source.items()},
        **{f"version: {name}": value for name, value in manifest.versions.items()},
        **{name: f"{record.bytes / 1e6:.1f} MB, sha256 {record.sha256}" for name, record in manifest.files.items()},
        **{f"figure: {name}": f"{value:.4g}" for name, value in manifest.figures.items()},
    }
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{manifest.name}-{manifest.precision}-{manifest.digest}", style="bold"))
    for name, value in rows.items():
        console.print(Text.assemble((f"{name:<28}", "dim"), value))

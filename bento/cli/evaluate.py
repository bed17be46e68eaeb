"""`wordtell evaluate`: how good a model is on your texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bento import settings
from bento.cli.extra import needs


def evaluate(
    file: Annotated[Path, typer.Argument(help="JSON Lines: text, and labels, spans, label or boundary.")],
    model: Annotated[
        str | None, typer.Option(help="A model folder, or a server's address. Default: the model of the settings.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="Another one, to compare with.")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for report.md, report.json and the pictures.")] = None,
    single_spaces: Annotated[
        bool, typer.Option("--single-spaces", help="The file counts words of split(' '), as SemEval-2024 task 8C does.")
    ] = False,
) -> None:
    """Print figures with 95 % intervals over texts. An API key for a server is read from API_KEY."""
    with needs("evaluate"):
        from evaluate.command import evaluate as run  # noqa: PLC0415 - the extra is needed by this command only

        folder = model or str(settings.load().settings.model.checkpoint_dir)
        print(run(file, folder, against, out, single_spaces, os.environ.get("API_KEY")))

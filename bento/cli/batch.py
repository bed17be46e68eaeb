"""`wordtell batch`: files of any size."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from bento import settings
from bento.detector import Detector
from bento.errors import ConfigError


def batch(  # noqa: PLR0913, PLR0917 - each is an option
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A file, a folder, a glob in quotes, a URI, or - for standard input.")
    ],
    output: Annotated[
        str,
        typer.Argument(metavar="OUT", help="A file (.jsonl, .csv, .tsv, .parquet; .gz, .bz2, .zst), a folder, or -."),
    ],
    text: Annotated[
        str | None, typer.Option(help="The column of the text; by default the one that is called so.")
    ] = None,
    name: Annotated[str | None, typer.Option("--id", help="The column of the id; by default FILE:ROW.")] = None,
    include: Annotated[
        str, typer.Option(help="What to write: scores, spans, summary; with commas between.")
    ] = "scores",
    kind: Annotated[
        str | None, typer.Option("--format", help="Of IN: jsonl, csv, tsv, parquet, text (one text), lines (many).")
    ] = None,
    output_format: Annotated[str, typer.Option(help="Of OUT where its name does not say it.")] = "jsonl",
    shard_rows: Annotated[int, typer.Option(min=1, help="Rows of a shard at most.")] = 10_000,
    ray: Annotated[bool, typer.Option("--ray", help="On a Ray cluster; OUT is a folder or a URI.")] = False,
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster; by default RAY_ADDRESS, else one on this machine.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Scorers on the Ray cluster; by default as fit.")] = None,
) -> None:
    """Score every text of files of any size. Repeat the command to resume an interrupted run.

    Exit code 0: all rows are scored. 2: some have an error, in their `error`. 1: the run stopped.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError('wordtell batch needs pyarrow: pip install "wordtell[batch]"')
    from bulk import commands  # noqa: PLC0415 - a server needs none of it

    order = commands.order(
        source, output, text=text, name=name, include=include, kind=kind, output_format=output_format, rows=shard_rows
    )
    if ray or address:
        if importlib.util.find_spec("ray") is None:
            raise ConfigError('wordtell batch --ray needs Ray: pip install "wordtell[ray]"')
        outcome = commands.on_ray(order, settings.load().settings, address, workers)
    else:
        found = commands.sources(order)
        detector = Detector.load(settings.load().settings)
        try:
            outcome = commands.run(order, detector, found)
        finally:
            detector.close()
    typer.echo(f"{outcome.rows:,} rows, {outcome.errors:,} of them with an error", err=True)
    if outcome.errors:
        raise typer.Exit(2)

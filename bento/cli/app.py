"""The `wordtell` command; each of its commands is a file beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from bento import __version__, logs
from bento.cli.batch import batch
from bento.cli.bench import bench
from bento.cli.calibrate import calibrate
from bento.cli.check import check
from bento.cli.config import config
from bento.cli.distill import distill
from bento.cli.evaluate import evaluate
from bento.cli.inspect import inspect
from bento.cli.score import score
from bento.cli.serve import serve
from bento.cli.sign import sign
from bento.errors import WordtellError

app = typer.Typer(
    help="For every word of a text, how likely a machine wrote it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (score, batch, config, serve, check, inspect, sign, evaluate, calibrate, bench, distill):
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command; what goes wrong is one line on standard error, and the exit code 1."""
    logs.guard()
    try:
        app()
    except WordtellError as error:
        raise logs.refusal(error) from None

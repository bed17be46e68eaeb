"""`wordtell bench`: what a model costs on this machine."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from bento import settings
from bento.artifact import TOKENIZER
from bento.bench.measure import measure
from bento.bench.result import Result
from bento.cli.extra import missing
from bento.errors import ConfigError
from bento.settings import ROOT

# The tokenizer of random weights.
_EMBEDDED = ROOT / "models" / "wordtell-small"


def bench(
    model: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A model folder. Default: the model of the settings.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="Instead of a model: random weights at the dimensions of this one, like deberta-v3-large."),
    ] = None,
    limit: Annotated[float, typer.Option(help="Seconds that a request of 120 texts of 350 words may take.")] = 20.0,
    seconds: Annotated[float, typer.Option(help="About how long to measure.")] = 40.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure a model on this machine: a request of 120 x 350 words, one short text, memory, the processor's share."""
    for name, value in (("--limit", limit), ("--seconds", seconds)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be a number of seconds above 0, like 20, not {value:g}")
    if model and like:
        raise ConfigError("DIR and --like are both given: leave one of them out")
    loaded = settings.load().settings
    with _bar() as bar:
        if like:
            with tempfile.TemporaryDirectory(prefix="wordtell-bench-") as scratch:
                result = measure(loaded.serving(_random(like, Path(scratch, "model"), bar)), limit, seconds, bar)
        else:
            result = measure(loaded.serving(model) if model else loaded, limit, seconds, bar)
    if as_json:
        print(result.to_json())
    else:
        _print(result)


class _Stages:
    """A bar on standard error, with the stage that is under way."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    @contextmanager
    def __call__(self, name: str, steps: int) -> Iterator[Callable[[], None]]:
        """See bento.bench.measure.Stage."""
        task = self._bar.add_task(name, total=steps)
        yield lambda: self._bar.advance(task)
        self._bar.remove_task(task)


@contextmanager
def _bar() -> Iterator[_Stages]:
    columns, console = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()), Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Stages(bar)


def _random(name: str, out: Path, stage: _Stages) -> Path:
    """A model folder of random weights, written by a process whose memory is not the measurement's."""
    for module in ("convert", "onnx_ir"):
        if find_spec(module) is None:
            raise missing(module, "like")
    from convert.dimensions import PUBLISHED  # noqa: PLC0415 - a server needs none of it

    if name not in PUBLISHED:
        raise ConfigError(
            f"--like: the dimensions of {name!r} are not known; those of these are: {', '.join(PUBLISHED)}"
        )
    if not (tokenizer := _EMBEDDED / TOKENIZER).is_file():
        raise ConfigError(f"--like needs the embedded model's tokenizer, and there is no {tokenizer}")
    command = [sys.executable, "-m", "convert.random_weights", name, str(out), str(tokenizer)]
    with stage(f"write random weights like {name}", 1) as step:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        step()
    if made.returncode:
        last = (made.stderr.strip().splitlines() or [f"exit code {made.returncode}"])[-1]
        raise ConfigError(f"--like: random weights cannot be written ({last})")
    return out


def _print(result: Result) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for name, value in result.rows().items():
        console.print(Text.assemble((f"{name:<20}", "bold"), value))

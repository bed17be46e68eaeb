"""The `wordtell` command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from bento import __version__, artifact, logs, settings
from bento.detector import Detector, Scores
from bento.errors import InvalidRequest, WordtellError
from bento.text import words

app = typer.Typer(
    help="For every word of a text, how likely a machine wrote it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# From "surely a person" to "surely a machine"; the steps between are even.
_COLOURS = ("green4", "green3", "chartreuse3", "yellow3", "orange3", "dark_orange3", "red3", "bright_red")


@app.command()
def score(
    file: Annotated[str, typer.Argument(help="A text file (UTF-8), or - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print words and probabilities as JSON.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Also draw what is printed into this SVG file.")] = None,
) -> None:
    """Print a text of any length with each word coloured by the probability that a machine wrote it."""
    text = _read(file)
    spans = words.split(text)
    if not len(spans):
        raise InvalidRequest(f"{file} is blank: give a file with at least one word")
    detector = Detector.load(settings.load().settings)
    try:
        found = _score(detector, text)
    finally:
        detector.close()
    probabilities = [round(float(value), 4) for value in found.words[0]]
    pairs = list(zip((text[start:stop] for start, stop in spans), probabilities, strict=True))
    if as_json:
        body = {
            "model_version": detector.version,
            "words": [{"word": word, "probability": probability} for word, probability in pairs],
        }
        print(json.dumps(body, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=svg is None, width=100 if svg else None, record=svg is not None)
    console.print(_coloured(text.rstrip(), spans.tolist(), probabilities))
    mean = sum(probabilities) / len(probabilities)
    console.print(Text(f"\n{len(pairs)} words, mean probability {mean:.2f} ({detector.version})", style="dim"))
    console.print(
        Text.assemble("a person ", *((f" {i / 8:.2f} ", f"reverse {c}") for i, c in enumerate(_COLOURS)), " a machine")
    )
    if svg:
        picture = console.export_svg(title=f"wordtell score {file}")
        # Without the fonts that it would fetch from the network.
        svg.write_text(re.sub(r"@font-face {.*?}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")


@app.command()
def config() -> None:
    """Print every setting: its value, where it came from, and what it means."""
    console = Console(highlight=False, soft_wrap=True)
    meanings = dict(settings.fields())
    for origin in settings.load().origins:
        value = "***" if origin.key == "api.keys" and origin.value else logs.one_line(f"{origin.value}")
        console.print(Text.assemble((origin.key, "bold"), f" = {value}", (f"  ({origin.source})", "dim")))
        console.print(Text(f"    {meanings[origin.key].description}", style="dim"))


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - as bentoml serve does
) -> NoReturn:
    """Serve over HTTP: `bentoml serve` of this folder, stopped gracefully."""
    grace = settings.load().settings.api.shutdown_s
    settings.pin(os.environ)  # bentoml serve reads the settings in the folder of service.py
    environment = {"BENTOML_DO_NOT_TRACK": "True", **os.environ}
    command = [sys.executable, "-m", "bentoml", "serve", str(settings.ROOT)]
    options = ["--host", host, "--port", str(port), "--timeout-graceful-shutdown", str(round(grace))]
    os.execve(sys.executable, [*command, *options], environment)  # noqa: S606 - no shell is wanted


@app.command()
def check() -> None:
    """Load the model that the settings name, score once, and say what would be served."""
    detector = Detector.load(settings.load().settings)
    print(f"{detector.version} ({detector.engine}) can be served")
    detector.close()


@app.command()
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


def _read(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file} is not UTF-8 text (byte {error.start}): convert it first") from None
    except OSError as error:
        raise InvalidRequest(f"{file}: {error.strerror}") from None


def _score(detector: Detector, text: str) -> Scores:
    bar = Progress(
        TextColumn("scoring"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    )
    with bar:
        task = bar.add_task("", total=detector.count_windows(text))
        return asyncio.run(detector.score([text], lambda: bar.advance(task)))


def _coloured(text: str, spans: list[list[int]], probabilities: list[float]) -> Text:
    coloured = Text(text)
    for (start, stop), probability in zip(spans, probabilities, strict=True):
        coloured.stylize(_COLOURS[min(int(probability * len(_COLOURS)), len(_COLOURS) - 1)], start, stop)
    return coloured


if __name__ == "__main__":
    main()

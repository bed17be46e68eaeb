"""`wordtell calibrate`: thresholds with a bounded false-positive rate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bento.cli.extra import needs


def calibrate(
    model: Annotated[Path, typer.Argument(metavar="DIR", help="A model folder.")],
    human: Annotated[Path, typer.Option(help="JSON Lines with text: wholly human texts of your population.")],
    labelled: Annotated[Path | None, typer.Option(help="Labelled texts, for a temperature.")] = None,
    rate: Annotated[float, typer.Option(help="The share of human texts that may be marked.")] = 0.01,
    population: Annotated[str | None, typer.Option(help="Its name, as answers tell it. Default: the file's.")] = None,
) -> None:
    """Find thresholds that mark at most a share of human texts like those given, and write calibration.json."""
    with needs("evaluate"):
        from evaluate.calibrating import calibrate as run  # noqa: PLC0415 - the extra is needed by this command only

        found = run(model, human, labelled, rate, population or human.stem)
    for group in found.groups:
        value = "no promise" if group.threshold is None else f"threshold {group.threshold:.4f}"
        print(f"{group.least} to {group.most} words: {group.texts} texts, {value}")
    if found.temperature is not None:
        print(f"temperature {found.temperature:.4f}")
    print(found.promise)

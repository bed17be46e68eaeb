"""`wordtell distill`: a smaller, faster model of yours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bento.cli.extra import needs


def distill(  # noqa: PLR0913, PLR0917 - each is an option
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="A checkpoint's folder, or a model folder.")],
    texts: Annotated[
        list[Path], typer.Option(help="JSON Lines with text, and labels where there are some; may be given again.")
    ],
    out: Annotated[Path, typer.Option(help="The folder of the student, a checkpoint.")],
    layers: Annotated[int | None, typer.Option(min=1, help="Of the student; by default the teacher's.")] = None,
    hidden: Annotated[int | None, typer.Option(min=8, help="Hidden size of the student.")] = None,
    like: Annotated[str | None, typer.Option(help="A shape: base (12 x 768), small (6 x 384), tiny (4 x 192).")] = None,
    student: Annotated[
        Path | None, typer.Option(help="A checkpoint, or a pretrained encoder, that becomes the student.")
    ] = None,
    prune_vocabulary: Annotated[
        bool, typer.Option("--prune-vocabulary", help="Keep only the part of the vocabulary that the texts use.")
    ] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Of the first stage; by default three rounds.")] = None,
    relation_steps: Annotated[
        int | None, typer.Option(min=0, help="Of the second stage; by default a third of the first's.")
    ] = None,
    rate: Annotated[float, typer.Option(help="The learning rate at its highest.")] = 2e-4,
    batch: Annotated[int, typer.Option(min=1, help="Texts of a step.")] = 16,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 13,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds that a request of 120 texts of 350 words may take, for the advice.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an interrupted run.")] = False,
) -> None:
    """Train a smaller model to score as TEACHER does. An interrupted run goes on when the same command is given again.

    The report, teacher and student side by side on texts that neither taught nor chose, goes into OUT/report too.
    """
    from train.distill import orders  # noqa: PLC0415 - as below, but nothing that a wrong order would wait for

    order = orders.ordered(layers, hidden, like, student, prune_vocabulary)
    with needs("train"):
        from train.distill import command  # noqa: PLC0415 - the extra is needed by this command only

        asked = command.Asked(
            teacher=teacher,
            files=tuple(texts),
            out=out,
            order=order,
            steps=steps,
            relation_steps=relation_steps,
            rate=rate,
            each=batch,
            seed=seed,
            limit=time_limit,
            fresh=fresh,
        )
        print(command.distill(asked))

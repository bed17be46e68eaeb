"""`wordtell sign`: signs a model folder, so that a server can refuse unsigned ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bento import artifact, signing


def sign(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A model folder.")],
    key: Annotated[Path, typer.Option(help="The private key, a PEM file of an elliptic curve.")],
) -> None:
    """Sign a model folder; `model.require_signature` then names the public key."""
    artifact.load(folder)  # what is damaged is not signed
    print(f"{signing.sign(folder, key)} written")

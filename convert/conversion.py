"""A conversion from end to end, readable top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bento.artifact import Manifest, Precision
from convert import checkpoint, export, folder, labels, quantize, verify

Stage = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is wanted. source: a checkpoint folder or a hub's name. None leaves a choice to the checkpoint."""

    source: str
    out: Path
    precision: Precision
    name: str | None = None
    positive_label: str | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Result:
    """The manifest of the new folder, and how near it is to the checkpoint."""

    manifest: Manifest
    comparison: verify.Comparison


def convert(order: Order, stage: Stage) -> Result:
    """Make the folder, or raise a WordtellError and leave what was there. Each step runs inside a `stage`."""
    with stage("load"):
        read = checkpoint.read(order.source)
        draft = Manifest(
            name=order.name or read.source.rpartition("/")[2],
            architecture=read.architecture,
            precision=order.precision,
            labels=read.labels,
            positive_label=labels.positive(read.labels, order.positive_label),
            max_tokens=read.max_tokens(order.max_tokens),
            files={},
        )
    with folder.replacing(order.out) as new:
        with stage("export"):
            model = export.export(read, order.precision)
        if order.precision == "int8":
            with stage("quantise"):
                quantize.quantize(model)
        with stage("check"):
            export.check(model, read.architecture)
        with stage("write"):
            manifest = folder.write(new, model, read, draft)
        with stage("verify"):
            comparison = verify.compare(new, read.model)
    return Result(manifest, comparison)

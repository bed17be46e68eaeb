"""A conversion from end to end, readable top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bento.artifact import Manifest, Precision
from convert import checkpoint, export, folder, labels, quantize, report, texts, verify
from convert.checkpoint import Checkpoint
from convert.errors import VerificationError
from convert.figures import Figures
from convert.measure import Measurement
from convert.order import Order
from convert.texts import Text


class Stage(Protocol):
    """Told of each step of a conversion: its title, and in how many parts it comes, if that is known."""

    def __call__(self, title: str, parts: int | None = None) -> AbstractContextManager[Callable[[], None]]:
        """Entered when the step begins, left when it ends; what it gives is called after each part."""
        ...


@dataclass(frozen=True)
class Result:
    """The manifest of the new folder, and the figures of every variant that was verified."""

    manifest: Manifest
    figures: dict[Precision, Figures]


def convert(order: Order, stage: Stage) -> Result:
    """Make the folder, or raise a WordtellError and leave what was there. Each step runs inside a `stage`."""
    asked = texts.built_in() + (texts.read(order.verify_texts) if order.verify_texts else ())
    with stage("load"):
        read = checkpoint.read(order.source, order.base)
        draft = Manifest(
            name=order.name or read.source.rpartition("/")[2],
            architecture=read.architecture,
            precision="fp32",
            labels=read.labels,
            positive_label=labels.positive(read.labels, order.positive_label),
            max_tokens=read.max_tokens(order.max_tokens),
            files={},
        )
    with folder.replacing(order.out) as new:
        shares = {p: _write(new / p, read, replace(draft, precision=p), stage) for p in order.variants}
        expected = _reference(new / order.variants[0], read, asked, stage)
        del read  # its memory is for the engines now
        found: dict[Precision, Measurement] = {}
        for precision in order.variants:
            with stage(f"verify {precision}", 2 * expected.windows) as advance:
                found[precision] = verify.measure(new / precision, asked, advance)
        figures = {p: verify.compare(expected, found[p], order.threshold, shares[p]) for p in order.variants}
        chosen = choose(order, figures)
        manifest = folder.keep(new, chosen, figures[chosen].known())
        shown: Precision = "int8" if "int8" in found else "fp32"
        report.write(new, manifest, order, expected, figures)
        report.draw(new, expected, found[shown], f"ONNX {shown.upper()}", order.threshold)
    return Result(manifest, figures)


def choose(order: Order, figures: dict[Precision, Figures]) -> Precision:
    """The fastest variant within its limits. Raises VerificationError when there is none, or FP32 is not exact."""
    faults = {precision: order.limits(precision).exceeded(found) for precision, found in figures.items()}
    within = [precision for precision, fault in faults.items() if fault is None]
    # FP32 over its limits is no matter of precision: the graph is not the model.
    for precision, fault in faults.items():
        if fault is not None and (precision == "fp32" or not within):
            raise VerificationError(precision, fault)
    return max(within, key=lambda precision: figures[precision].words_per_s)


def _write(path: Path, read: Checkpoint, draft: Manifest, stage: Stage) -> float:
    """One variant into a folder of its own; returns the share of MatMul weights that are FP32."""
    precision, share = draft.precision, 1.0
    path.mkdir()
    with stage(f"export {precision}"):
        model = export.export(read, precision)
    if precision == "int8":
        with stage(f"quantise {precision}"):
            share = quantize.quantize(model)
    with stage(f"check {precision}"):
        export.check(model, read.architecture)
    with stage(f"write {precision}"):
        folder.write(path, model, read, draft)
    return share


def _reference(path: Path, read: Checkpoint, asked: tuple[Text, ...], stage: Stage) -> verify.Reference:
    with stage("pytorch") as advance:
        return verify.reference(path, read.model, asked, advance)

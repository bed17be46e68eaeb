"""A conversion from end to end, readable top to bottom."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import onnx_ir as ir

from bento.artifact import FUSED, MODEL, Manifest, Precision
from bento.native import LIBRARY
from bento.text.words import positive_probability
from convert import checkpoint, export, folder, labels, quantize, report, sensitivity, texts, tokenizer, verify
from convert.checkpoint import Checkpoint
from convert.errors import VerificationError
from convert.figures import Variant
from convert.measure import Measurement
from convert.order import Order
from convert.texts import Text


class Stage(Protocol):
    """Told of each step of a conversion: its title, and in how many parts it comes, if that is known."""

    def __call__(self, title: str, parts: int | None = None) -> AbstractContextManager[Callable[[], None]]:
        """Entered when the step begins, left when it ends; what it gives is called after each part."""
        ...


@dataclass(frozen=True)
class Made:
    """What was left in FP32: its share of the MatMul weights, and each by name, with the mean |dp| that it saves."""

    fp32_share: float
    exact: dict[str, float]


@dataclass(frozen=True)
class Result:
    """The manifest of the new folder, and every variant that was verified."""

    manifest: Manifest
    variants: Mapping[Precision, Variant]


def convert(order: Order, stage: Stage) -> Result:
    """Make the folder, or raise a WordtellError and leave what was there. Each step runs inside a `stage`."""
    theirs = texts.read(order.verify_texts) if order.verify_texts else ()
    asked = texts.built_in() + theirs
    with stage("load"):
        read = checkpoint.read(order.source, order.base, order.head_activation)
        _try_tokenizer(read, theirs, order)
        positives = labels.positive(read.labels, order.positive_labels, add_up=read.activation == "softmax")
        draft = Manifest(
            name=order.name or read.source.rpartition("/")[2],
            architecture=read.architecture,
            precision="fp32",
            labels=read.labels,
            positive_label=positives if len(positives) > 1 else positives[0],
            activation=read.activation,
            word_score=order.word_score,
            max_tokens=read.max_tokens(order.max_tokens),
            position_limit=read.position_limit,
            files={},
        )
    with folder.replacing(order.out) as new:
        made = {p: _write(new / p, read, replace(draft, precision=p), order, stage) for p in order.variants}
        expected = _reference(new / order.variants[0], read, asked, stage)
        del read
        gc.collect()  # torch's modules refer to each other in circles, and their memory is for the engines now
        found: dict[Precision, Measurement] = {}
        variants: dict[Precision, Variant] = {}
        for precision in order.variants:
            figures = []
            for fused in (False, True)[: 1 + _can_fuse(new / precision)]:
                title = f"verify {precision}{' fused' if fused else ''}"
                with stage(title, 2 * expected.windows) as advance:
                    found[precision] = verify.measure(new / precision, asked, advance, fused)
                share = made[precision].fp32_share
                figures.append(verify.compare(expected, found[precision], order.threshold, share))
            variants[precision] = Variant(figures[0], order.limits(precision), made[precision].exact, *figures[1:])
        manifest = folder.keep(new, chosen := choose(variants), variants[chosen].served.known())
        report.write(new, manifest, expected, variants, order.threshold)
        shown: Precision = "int8" if "int8" in found else "fp32"
        report.draw(new, expected, found[shown], f"ONNX {shown.upper()}", order.threshold)
    return Result(manifest, variants)


def choose(variants: Mapping[Precision, Variant]) -> Precision:
    """The fastest variant within its limits. Raises VerificationError when there is none, or FP32 is not exact."""
    within = [precision for precision, variant in variants.items() if variant.fault is None]
    # FP32 over its limits is no matter of precision: the graph is not the model.
    for precision, variant in variants.items():
        if variant.fault is not None and (precision == "fp32" or not within):
            raise VerificationError(precision, variant.fault)
    return max(within, key=lambda precision: variants[precision].served.words_per_s)


def _try_tokenizer(read: Checkpoint, theirs: tuple[Text, ...], order: Order) -> None:
    """Refuse a tokenizer that fails on one of the user's texts. Raises CheckpointError, naming the text's number."""
    place, error = tokenizer.attempt(read.fast_tokenizer, (text.text for text in theirs))
    if error is not None:
        raise tokenizer.failed(read.source, f"text {place + 1} of {order.verify_texts}", error)


def _can_fuse(path: Path) -> bool:
    return (path / FUSED).exists() and LIBRARY.exists()


def _write(path: Path, read: Checkpoint, draft: Manifest, order: Order, stage: Stage) -> Made:
    """One variant into a folder of its own."""
    precision, made = draft.precision, Made(1.0, {})
    path.mkdir()
    with stage(f"export {precision}"):
        models = {MODEL: export.export(read, precision)}
    if precision == "int8":
        made = _quantize(models[MODEL], read, draft, order, stage)
    with stage(f"fuse {precision}"):
        if (fused := export.fused(read, precision, made.exact)) is not None:
            models[FUSED] = fused
    with stage(f"check {precision}"):
        for model in models.values():
            export.check(model, read.architecture)
    with stage(f"write {precision}"):
        folder.write(path, models, read, draft)
    return made


def _quantize(model: ir.Model, read: Checkpoint, draft: Manifest, order: Order, stage: Stage) -> Made:
    """INT8 in place, but for the MatMuls that cannot bear it."""
    sizes = quantize.products(model)
    with stage("rank int8", len(sizes)) as advance:
        ids = read.encode(texts.CALIBRATION)[: draft.max_tokens]
        positive = partial(positive_probability, positives=draft.positive_indices, activation=draft.activation)
        errors = sensitivity.measure(read.model, ids, positive, sizes, advance)
        exact = sensitivity.exact(errors, sizes, order.max_mean_dp, order.max_fp32_share)
    with stage("quantise int8"):
        quantize.quantize(model, exact)
    share = sum(sizes[name] for name in exact) / max(1, sum(sizes.values()))
    return Made(share, {name: errors[name] for name in exact})


def _reference(path: Path, read: Checkpoint, asked: tuple[Text, ...], stage: Stage) -> verify.Reference:
    with stage("pytorch") as advance:
        return verify.reference(path, read.model, asked, advance)

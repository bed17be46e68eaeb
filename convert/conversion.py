"""A conversion from end to end."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from bento.artifact import FUSED, MODEL, Manifest, Precision
from bento.checkpoint import labels, tokenizer
from bento.checkpoint import reading as checkpoint
from bento.checkpoint.reading import Checkpoint
from bento.native import LIBRARY
from bento.text.words import positive_probability
from convert import export, folder, quantize, report, sensitivity, smoothing, texts, verify
from convert.errors import VerificationError
from convert.figures import Array, Variant
from convert.measure import Measurement
from convert.order import Order
from convert.texts import Asked, Text

# Tokens of a text that the ranking uses: enough context for a word.
_RANK_TOKENS = 96


class Stage(Protocol):
    """Called for each step of a conversion, with its title and its number of parts, if known."""

    def __call__(self, title: str, parts: int | None = None) -> AbstractContextManager[Callable[[], None]]:
        """A context for the step; its value is called after each part."""
        ...


@dataclass(frozen=True)
class Made:
    """What was left in FP32: its share of the MatMul weights, and each by name, with the mean |dp| that it saves.

    smooth: of the others, those whose input is multiplied by factors; see convert/smoothing.py.
    """

    fp32_share: float
    exact: dict[str, float]
    smooth: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The manifest of the new folder, and every variant that was verified."""

    manifest: Manifest
    variants: Mapping[Precision, Variant]


@dataclass(frozen=True)
class _Ranked:
    """Of each weight: how many numbers it has, the mean |dp| that INT8 costs, and the factors of its input, if any."""

    sizes: dict[str, int]
    errors: dict[str, float]
    smooth: dict[str, Array]


@dataclass(frozen=True)
class _Task:
    """Values that all steps share."""

    order: Order
    stage: Stage
    draft: Manifest
    asked: Asked


def convert(order: Order, stage: Stage) -> Result:
    """Make the folder, or raise a WordtellError and leave what was there. Each step runs inside a `stage`."""
    theirs = texts.read(order.verify_texts) if order.verify_texts else ()
    first = texts.ladder() + theirs  # what FP32 is verified on, and speeds are measured with
    others = texts.verification(order.verify_words) if "int8" in order.variants else ()
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
    task = _Task(order, stage, draft, Asked(first + others, len(first)))
    with folder.replacing(order.out) as new:
        variants: dict[Precision, Variant] = {}
        if "fp32" in order.variants:
            _write(new / "fp32", read, draft, Made(1.0, {}), stage)
        if "int8" in order.variants:
            expected, variants["int8"], found = _int8(new / "int8", read, task)
        else:
            expected = _reference(new / "fp32", read, task)
        del read
        gc.collect()  # torch's modules have reference cycles; collect them, because the engines need the memory
        if "fp32" in order.variants:
            exact = expected.first(len(first))
            variants["fp32"], measured = _verify(new / "fp32", exact, Made(1.0, {}), task)
            expected, found = (expected, found) if "int8" in variants else (exact, measured)
        variants = {precision: variants[precision] for precision in order.variants}
        manifest = folder.keep(new, chosen := choose(variants), variants[chosen].served.known())
        shown = report.Shown(f"ONNX {'INT8' if 'int8' in variants else 'FP32'}", found, order.threshold)
        report.write(new, manifest, expected, variants, shown)
        report.draw(new, expected, shown)
    return Result(manifest, variants)


def choose(variants: Mapping[Precision, Variant]) -> Precision:
    """The fastest variant within its limits. Raises VerificationError when there is none, or FP32 is not exact."""
    within = [precision for precision, variant in variants.items() if variant.fault is None]
    # FP32 over its limits means that the graph is not the model.
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


def _int8(path: Path, read: Checkpoint, task: _Task) -> tuple[verify.Reference, Variant, Measurement]:
    """Make INT8 in a folder of its own, with more weights in FP32 each time, until the limits hold or all shares have
    been tried."""
    draft, expected, kept = replace(task.draft, precision="int8"), None, None
    ranked = _rank(read, task)
    sizes, errors = ranked.sizes, ranked.errors
    for number, share in enumerate(shares := task.order.fp32_shares):
        # If a limit does not hold although the estimate did, the estimate is too low: next it must be half of the
        # limit, and the last try uses the whole share without an estimate.
        last = 0 < number == len(shares) - 1
        exact = sensitivity.exact(errors, sizes, 0 if last else task.order.max_mean_dp / 2**number, share)
        if exact == kept:
            continue
        kept = exact
        smooth = {name: factors for name, factors in ranked.smooth.items() if name not in exact}
        kept_share = sum(map(sizes.__getitem__, exact)) / max(1, sum(sizes.values()))
        made = Made(kept_share, {name: errors[name] for name in exact}, smooth)
        shutil.rmtree(path, ignore_errors=True)
        _write(path, read, draft, made, task.stage)
        expected = expected or _reference(path, read, task)
        variant, found = _verify(path, expected, made, task)
        if variant.fault is None:
            break
    assert expected is not None  # noqa: S101 - there is a first share
    return expected, variant, found


def _verify(path: Path, expected: verify.Reference, made: Made, task: _Task) -> tuple[Variant, Measurement]:
    """Both graphs of a folder, and the fused one with every instruction set that this machine has."""
    precision: Precision = "int8" if path.name == "int8" else "fp32"
    asked = Asked(expected.texts, task.asked.first)
    windows = sum(expected.windows) + sum(expected.windows[: asked.first])
    figures, found = [], None
    for fused in (False, True)[: 1 + _can_fuse(path)]:
        with task.stage(f"verify {precision}{' fused' if fused else ''}", windows) as advance:
            found = verify.measure(path, asked, advance, fused)
        figures.append(verify.compare(expected, found, task.order.threshold, made.fp32_share))
    assert found is not None  # noqa: S101 - the portable graph is there
    sets, few = {}, expected.first(texts.SHORT)
    for name in verify.lower_instruction_sets(found) if len(figures) > 1 else ():
        with task.stage(f"verify {name}", sum(few.windows) + few.windows[0]) as advance:
            other = verify.measure(path, Asked(few.texts, 1), advance, fused=True, instruction_set=name)
        sets[name] = verify.compare(few, other, task.order.threshold, made.fp32_share).mean_dp
    fused_figures = figures[1] if len(figures) > 1 else None
    limits = task.order.limits(precision)
    return Variant(figures[0], limits, made.exact, fused_figures, sets, tuple(made.smooth)), found


def _write(path: Path, read: Checkpoint, draft: Manifest, made: Made, stage: Stage) -> None:
    """One variant into a folder of its own."""
    precision = draft.precision
    path.mkdir()
    with stage(f"export {precision}"):
        models = {MODEL: export.export(read, precision, made.smooth)}
    if precision == "int8":
        with stage("quantise int8"):
            quantize.quantize(models[MODEL], made.exact)
    with stage(f"fuse {precision}"):
        if (fused := export.fused(read, precision, made.exact, made.smooth)) is not None:
            models[FUSED] = fused
    with stage(f"check {precision}"):
        for model in models.values():
            export.check(model, read.architecture)
    with stage(f"write {precision}"):
        folder.write(path, models, read, draft)


def _rank(read: Checkpoint, task: _Task) -> _Ranked:
    """Calibrate every MatMul that INT8 would quantise."""
    draft, sizes = task.draft, quantize.products(export.export(read, "int8"))
    given = [read.encode(text)[:_RANK_TOKENS] for text in texts.calibration(sensitivity.texts_for(sizes))]
    with task.stage("smooth int8"):
        smooth = smoothing.factors(read.model, given, sizes)
    with task.stage("rank int8", len(sizes) * len(given)) as advance:
        positive = partial(positive_probability, positives=draft.positive_indices, activation=draft.activation)
        products = {name: smooth.get(name) for name in sizes}
        return _Ranked(sizes, sensitivity.measure(read.model, given, positive, products, advance), smooth)


def _reference(path: Path, read: Checkpoint, task: _Task) -> verify.Reference:
    with task.stage("pytorch", None) as advance:
        return verify.reference(path, read.model, task.asked.texts, advance)

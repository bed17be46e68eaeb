"""Writes report.json, report.md and report.svg: the results of a verification."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bento import cpu
from bento.artifact import Manifest, Precision
from bento.types import FloatArray, WordScore
from convert.figures import MARGIN, Figures, Limits, Variant, by_distance
from convert.measure import Measurement
from convert.verify import Reference

JSON, MARKDOWN, PLOT = "report.json", "report.md", "report.svg"
# Cells along each side of the plot, and pixels along each side of a cell.
CELLS, PIXELS = 50, 8
_RULES: dict[WordScore, str] = {
    "mean": "the mean of its tokens' probabilities",
    "first": "its first token's probability",
    "max": "the highest of its tokens' probabilities",
}


@dataclass(frozen=True)
class Shown:
    """The variant that is shown in detail: its name and answers; threshold: from where on a word is a machine's."""

    name: str
    found: Measurement
    threshold: float


def write(
    folder: Path, manifest: Manifest, expected: Reference, variants: Mapping[Precision, Variant], shown: Shown
) -> None:
    """Add the figures to a finished folder, once for programs and once for people. Raises OSError."""
    threshold = shown.threshold
    flips = by_distance(expected.flat, shown.found.flat, threshold)
    figures = {
        "chosen": manifest.precision,
        "model": manifest.name,
        "texts": len(expected.texts),
        "threshold": threshold,
        "word_score": manifest.word_score,
        "cores": cpu.detect().usable,
        "pytorch": {"words_per_s": len(expected.flat) / expected.seconds},
        "flips_by_distance": [dict(zip(("from", "to", "words", "flips"), row, strict=True)) for row in flips],
        "variants": {
            precision: {
                "within_limits": variant.fault is None,
                "limits": variant.limits.known(),
                "figures": variant.figures.known(),
                **({"fused": variant.fused.known()} if variant.fused else {}),
                "left_in_fp32": variant.exact,
                "smoothed": variant.smoothed,
                "instruction_sets": variant.instruction_sets,
            }
            for precision, variant in variants.items()
        },
    }
    (folder / JSON).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    told = _markdown(manifest, expected, variants, threshold) + _flips(flips, shown.found.variant, threshold)
    (folder / MARKDOWN).write_text(told, encoding="utf-8")


def _flips(rows: Sequence[tuple[float, float, int, int]], variant: str, threshold: float) -> str:
    lines = [f"| {low:g} to {high:g} | {count} | {flips} |" for low, high, count, flips in rows]
    head = f"\nWords by their distance from {threshold:g} in PyTorch, and how many of them flip ({variant}):\n\n"
    return head + "\n".join(["| distance | words | flips |", "| --- | --- | --- |", *lines]) + "\n"


def _markdown(manifest: Manifest, expected: Reference, variants: Mapping[Precision, Variant], threshold: float) -> str:
    columns: dict[str, tuple[Figures, Limits]] = {p: (v.figures, v.limits) for p, v in variants.items()}
    columns |= {f"{p}, fused": (v.fused, v.limits) for p, v in variants.items() if v.fused}
    rows = [f"| | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for name in variants[manifest.precision].figures.known():
        cells = []
        for figures, limits in columns.values():
            limit = limits.known().get(name)
            cells.append(f"{figures.known()[name]:.4g}" + (f" (limit {limit:g})" if limit is not None else ""))
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    exact = "".join(
        f"\n\n{len(variant.exact)} matrices of {precision.upper()} stayed in FP32, because alone each moved the mean "
        "probability by: " + ", ".join(f"`{name}` {error:.2g}" for name, error in variant.exact.items()) + "."
        for precision, variant in variants.items()
        if variant.exact
    )
    sets = "".join(
        f"\n\nThe fused graph of {precision.upper()} with lower instruction sets, mean |dp| over the ladder: "
        + ", ".join(f"{name} {mean:.2g}" for name, mean in variant.instruction_sets.items())
        + "."
        for precision, variant in variants.items()
        if variant.instruction_sets
    )
    return (
        f"# {manifest.name}: verified\n\n"
        f"{manifest.precision.upper()} was kept. Each variant was compared with PyTorch in FP32, word by word: INT8 "
        f"over {len(expected.flat)} words in {len(expected.texts)} texts that it was not calibrated on, FP32 on the "
        f"first of them. A word flips at {threshold:g}; it flips clearly when it was, before or after, at least "
        f"{MARGIN:g} from there. Limits are held by the upper 95 % bounds. A word's score is "
        f"{_RULES[manifest.word_score]}.\n\n"
        + "\n".join(rows)
        + exact
        + sets
        + f"\n\nPyTorch itself scored {len(expected.flat) / expected.seconds:.4g} words a second. "
        "convert/figures.py says what each figure means.\n\n"
        f"![Every word's probability in PyTorch and here]({PLOT})\n"
    )


def draw(folder: Path, expected: Reference, shown: Shown) -> None:
    """Add the plot: every word at (probability in PyTorch, probability in what is shown). Raises OSError."""
    drawn = plot(expected.flat, shown.found.flat, shown.name, shown.threshold)
    (folder / PLOT).write_text(drawn, encoding="utf-8")


def plot(expected: FloatArray, found: FloatArray, name: str, threshold: float) -> str:
    """An SVG, its cells the darker the more words share them; both arrays [words]."""
    counts, _, _ = np.histogram2d(expected, found, bins=CELLS, range=((0, 1), (0, 1)))
    side, top = CELLS * PIXELS, float(np.log1p(counts.max()))
    cells = "".join(
        f'<rect x="{x * PIXELS}" y="{side - (y + 1) * PIXELS}" width="{PIXELS}" height="{PIXELS}" '
        f'fill-opacity="{0.2 + 0.8 * np.log1p(counts[x, y]) / top:.2f}"/>'
        for x, y in np.argwhere(counts).tolist()
    )
    at = threshold * side
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-40 -10 {side + 60} {side + 55}" font-family="sans-serif" '
        f'font-size="13">\n<rect x="-40" y="-10" width="{side + 60}" height="{side + 55}" fill="white"/>\n'
        f'<g fill="#1f4e9c">{cells}</g>\n'
        f'<path d="M0 0V{side}H{side}M0 {side}L{side} 0" stroke="#888" fill="none"/>\n'
        f'<path d="M{at:g} 0V{side}M0 {side - at:g}H{side}" stroke="#888" stroke-dasharray="3 3" fill="none"/>\n'
        f'<text x="{side / 2}" y="{side + 32}" text-anchor="middle">PyTorch FP32</text>\n'
        f'<text x="-24" y="{side / 2}" text-anchor="middle" transform="rotate(-90 -24 {side / 2})">'
        f"{name}</text>\n"
        f'<text x="0" y="{side + 16}" text-anchor="middle">0</text>'
        f'<text x="{side}" y="{side + 16}" text-anchor="middle">1</text><text x="-8" y="4" text-anchor="end">1</text>\n'
        "</svg>\n"
    )

"""Figures -> a table for people, JSON for programs, and three pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from sklearn.metrics import auc, roc_curve

from evaluate.figures import Interval, Judged, reliability

Columns = Mapping[str, Mapping[str, Interval]]


def table(columns: Columns) -> str:
    """A Markdown table, one column a model (or their difference), with 95 % intervals."""
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    head = ["", *columns]
    rows = [head, ["---"] * len(head)]
    rows += [[name, *(_cell(figures.get(name)) for figures in columns.values())] for name in names]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write(folder: Path, heading: Mapping[str, Any], columns: Columns, judged: Mapping[str, Judged]) -> None:
    """report.md, report.json, and roc.png, reliability.png and length.png of what is judged. Raises OSError."""
    pictures = _PICTURES if judged else {}
    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        name: {figure: [_number(one.value), _number(one.low), _number(one.high)] for figure, one in figures.items()}
        for name, figures in columns.items()
    }
    body = json.dumps({**heading, "figures": plain}, indent=2, ensure_ascii=False)
    (folder / "report.json").write_text(body + "\n", encoding="utf-8")
    lines = ["# Evaluation", "", *(f"- {name}: {value}" for name, value in heading.items()), "", table(columns), ""]
    lines += ["In brackets: the middle 95 % of a bootstrap over texts.", ""]
    lines += [f"![{name}]({name}.png)" for name in pictures]
    (folder / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, draw in pictures.items():
        picture(folder / f"{name}.png", draw, judged)


def picture(path: Path, draw: Any, curves: Mapping[str, Any]) -> None:
    """Draw a line a model into a PNG file."""
    matplotlib.use("Agg")
    figure, axes = pyplot.subplots(figsize=(4.6, 4.4), dpi=110)
    for name, one in curves.items():
        draw(axes, name, one)
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)


def roc(axes: Axes, name: str, judged: Judged) -> None:
    """The ROC curve of the words."""
    fpr, tpr, _ = roc_curve(judged.truth, judged.values)
    axes.plot(fpr, tpr, label=f"{name} (AUC {auc(fpr, tpr):.3f})")
    _square(axes, "Words: ROC", "human words marked", "machine words found")


def calibration(axes: Axes, name: str, judged: Judged) -> None:
    """The share of machine words by score."""
    bins = reliability(judged.truth, judged.values)
    axes.plot([one[0] for one in bins], [one[1] for one in bins], "o-", label=name)
    _square(axes, "Words: reliability", "mean score", "share of machine words")


def length(axes: Axes, name: str, judged: Judged) -> None:
    """The mean score of each text by its length, wholly human ones and the others apart."""
    means = np.array([scores.mean() for scores in judged.scored.scores])
    for kind, mask, mark in (("a person's", judged.human, "o"), ("with machine words", ~judged.human, "x")):
        if mask.any():
            axes.plot(judged.lengths[mask], means[mask], mark, markersize=4, label=f"{name}: {kind}")
    axes.set(title="Texts: score by length", xlabel="words", ylabel="mean score", xscale="log", ylim=(0, 1))


_PICTURES = {"roc": roc, "reliability": calibration, "length": length}


def _square(axes: Axes, title: str, x: str, y: str) -> None:
    axes.axline((0, 0), (1, 1), color="0.8", linewidth=1)
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1), aspect="equal")


def _cell(one: Interval | None) -> str:
    if one is None or math.isnan(one.value):
        return "-"
    return f"{_places(one.value)} [{_places(one.low)}, {_places(one.high)}]"


def _places(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 3) + 0.0:.3f}"  # 0.0: no minus before a nought


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value

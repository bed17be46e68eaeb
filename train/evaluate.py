"""The command that measures the embedded model with `measure`, and writes its card with `card`."""

import argparse
import json
from pathlib import Path

from bento.artifact import MANIFEST, load
from train.card import render, table
from train.command import Unfit, run
from train.kinds import KINDS

FIGURES = Path("train/figures.json")
IMAGES = Path("docs/img")
FOLDER, EXACT = Path("models/wordtell-small"), Path("models/wordtell-small-fp32")


def trained_on(folder: Path) -> list[str]:
    """Return the kinds of prose whose labels a model was trained on: all if `choice.py` chose it, else one."""
    return list(KINDS) if load(folder).manifest.source.get("checkpoint") == "chosen" else ["addresses"]


def main() -> None:
    """Evaluate a model folder as served, on every kind of prose and Wikipedia; write figures, plots and model cards."""
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default %(default)s")
    parser.add_argument("--exact", type=Path, default=EXACT, help="the same in FP32 (default %(default)s)")
    parser.add_argument("--documents", type=int, default=800, help="documents a domain (default %(default)s)")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), help="default: all")
    parser.add_argument("--wikipedia-tokens", type=int, default=58_000, help="to generate; 0 leaves Wikipedia out")
    parser.add_argument("--no-is-it-slop", action="store_true", help="leave the comparison out")
    arguments = parser.parse_args()
    for folder in (arguments.folder, arguments.exact):
        if not (folder / MANIFEST).exists():
            raise Unfit(f"{folder} is no model folder; run: make train")
    from train.leftout import known  # noqa: PLC0415 - a missing package is for `run` to report
    from train.measure import Asked, judge, plot  # noqa: PLC0415

    before = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    trained = trained_on(arguments.folder)
    count, wikipedia = arguments.documents, arguments.wikipedia_tokens
    asked = Asked(count, arguments.kinds, trained, wikipedia, not arguments.no_is_it_slop)
    figures, curves = judge(arguments.folder, arguments.exact, asked)
    if left_out := known():
        figures["left_out"] = left_out
    if "marked_at_1_percent" in before:  # what `make calibrate` counted
        figures["marked_at_1_percent"] = before["marked_at_1_percent"]
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    plot(curves, IMAGES)
    for folder in (arguments.folder, arguments.exact):
        (folder / "README.md").write_text(render(figures))
    print(table(figures))


if __name__ == "__main__":
    run(main)

"""The command that says how good the embedded model is; what it measures is in `measure`, the card is in `card`."""

import argparse
import json
from pathlib import Path

from train.card import render, table
from train.command import BUILD, Unfit, run

FIGURES = Path("train/figures.json")
IMAGES = Path("docs/img")
CHECKPOINT = BUILD / "checkpoint"


def main() -> None:
    """Evaluate a checkpoint on held-out addresses and on Wikipedia; write figures, plots and the model card."""
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=main.__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="default %(default)s")
    parser.add_argument("--documents", type=int, default=800, help="documents a domain (default %(default)s)")
    parser.add_argument("--wikipedia-tokens", type=int, default=58_000, help="to generate; 0 leaves Wikipedia out")
    parser.add_argument("--no-is-it-slop", action="store_true", help="leave the comparison out")
    arguments = parser.parse_args()
    if not (arguments.checkpoint / "model.safetensors").exists():
        raise Unfit(f"{arguments.checkpoint} holds no checkpoint; run: make train")
    from train.measure import judge, plot  # noqa: PLC0415 - a missing package is for `run` to report

    figures, curves = judge(
        arguments.checkpoint, arguments.documents, arguments.wikipedia_tokens, not arguments.no_is_it_slop
    )
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    plot(curves, IMAGES)
    (arguments.checkpoint / "README.md").write_text(render(figures))
    print(table(figures))


if __name__ == "__main__":
    run(main)

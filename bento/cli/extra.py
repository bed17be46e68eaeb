"""Commands that need an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bento.errors import ConfigError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """A module that is missing inside is one line that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing(str(error.name), extra) from None


def missing(module: str, extra: str) -> ConfigError:
    """What to say of a module that is not there."""
    return ConfigError(f"the module {module} is missing; run: pip install 'wordtell[{extra}]'")

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
        raise ConfigError(f"the module {error.name} is missing; run: pip install 'wordtell[{extra}]'") from None

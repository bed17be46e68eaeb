"""Types of settings' values, with their checks. Each message is the end of a line that names the setting."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

_KEY_CHARACTERS = 8
# Characters that need no escape in an address or in the page's HTML.
_BASE_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[\w.~+@:-]+)*", re.ASCII)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[^\s/?#@:,\[\]*]+)(?::\d+)?")


def _listed(value: Any) -> Any:
    """A single string is a list of one."""
    return (value,) if isinstance(value, (str, SecretStr)) else value


def _key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value().strip()
    if len(text) < _KEY_CHARACTERS:
        raise ValueError(f"has {len(text)} characters: at least {_KEY_CHARACTERS} are needed")
    if not (text.isascii() and text.isprintable()):
        raise ValueError("has a character that a header cannot carry: use visible ASCII characters")
    return SecretStr(text)


def _base_path(path: str) -> str:
    if not _BASE_PATH.fullmatch(path):
        raise ValueError(f"must begin with / and not end with it, like /wordtell, not {path!r}")
    return path


def _origin(origin: str) -> str:
    lower = origin.lower()  # as browsers send it
    if lower != "*" and not _ORIGIN.fullmatch(lower):
        raise ValueError(f'must be an origin like https://app.example.com, without a path, or "*", not {origin!r}')
    for scheme, port in (("https://", ":443"), ("http://", ":80")):  # browsers leave these out
        lower = lower.removesuffix(port) if lower.startswith(scheme) else lower
    return lower


def _database_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must be like postgresql://user:password@host:5432/name; for SQLite set jobs.folder")
    return url


Positive = Annotated[int, Field(ge=1)]
# 0 means: derived from the number of cores.
Auto = Annotated[int, Field(ge=0, le=1024)]
# For a tuple: a single string is a list of one.
Listed = BeforeValidator(_listed)
Key = Annotated[SecretStr, AfterValidator(_key)]
BasePath = Annotated[str, AfterValidator(_base_path)]
WebOrigin = Annotated[str, AfterValidator(_origin)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]

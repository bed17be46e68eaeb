"""Reads the configuration file and the environment, before the values are checked.

A text in the environment is taken literally: `no`, `1.10`, `007` and `a # b` are names. Numbers and switches are read
as YAML, as in the file. A list is one text, or a YAML list `[a, b]`. A variable that is empty is unset, and so is a key
of the file without a value. Secret values are wrapped at once, so no error quotes one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bento.errors import ConfigError

PREFIX = "WORDTELL_"
# Read by the fused operators, not here: the best instruction set that they may use.
ISA_VARIABLE = "WORDTELL_ISA"
CONFIG_VARIABLE = "WORDTELL_CONFIG"

# What Kubernetes sets in every pod for a Service named wordtell or wordtell-something:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_NAME = r"WORDTELL(?:_[A-Z0-9](?:[A-Z0-9_]*[A-Z0-9])?)?"
_SERVICE_VARIABLE = re.compile(
    rf"{_SERVICE_NAME}_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(rf"{_SERVICE_NAME}_PORT")
_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")


@dataclass(frozen=True)
class Kind:
    """The kind of a setting's value: text (not a number or a switch), several texts, a path, a secret."""

    text: bool
    many: bool
    path: bool
    secret: bool

    @classmethod
    def of(cls, field: FieldInfo) -> Kind:
        """The kind of a field, by its annotation."""
        atoms = set(_atoms(field.annotation))
        path, secret = Path in atoms, SecretStr in atoms
        return cls(path or secret or str in atoms, get_origin(field.annotation) is tuple, path, secret)


@dataclass(frozen=True)
class Entry:
    """A value as it was found: where, under which key."""

    where: str
    key: str
    value: Any


def variable(key: str) -> str:
    """The environment variable of a dotted key: api.max_words -> WORDTELL_API__MAX_WORDS."""
    return PREFIX + key.upper().replace(".", "__")


def from_file(path: Path | None, kinds: Mapping[str, Kind]) -> list[Entry]:
    """The settings of a YAML file. Raises ConfigError."""
    if path is None:
        return []
    sections = dict.fromkeys(key.split(".")[0] for key in kinds)
    entries: list[Entry] = []
    for section, body in _mapping(_document(path), str(path)).items():
        if section not in sections:
            raise ConfigError(f"{path}: unknown section {_name(section)!r}{_nearest(_name(section), sections)}")
        for name, value in _mapping(body, f"{path}: {section}").items():
            key = f"{section}.{name}"
            if key not in kinds:
                shown = f"{section}.{_name(name)}"
                raise ConfigError(f"{path}: unknown key {shown!r}{_nearest(shown, kinds)}", shown)
            if value is None:
                continue
            kind = kinds[key]
            if kind.text:
                _check_texts(value, kind, f"{path.name}: {key}", key)
            entries.append(Entry(path.name, key, _ready(value, kind, path.parent)))
    return entries


def from_environment(environ: Mapping[str, str], kinds: Mapping[str, Kind]) -> list[Entry]:
    """The settings of the environment. Raises ConfigError."""
    known = {variable(key): key for key in kinds}
    entries: list[Entry] = []
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in (CONFIG_VARIABLE, ISA_VARIABLE):
            continue
        if name in known:
            if text.strip():
                kind = kinds[known[name]]
                entries.append(Entry(f"environment {name}", known[name], _ready(_read(text, kind, name), kind)))
        elif not _is_of_kubernetes(name, text):
            near = _nearest(name, known)
            hint = " Two underscores stand between section and key." if "?" in near and "__" not in name else ""
            raise ConfigError(f"unknown environment variable {name}{near}{hint}", name)
    return entries


def _document(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as error:
        # YAML's own message quotes the line, which may hold a key.
        mark = getattr(error, "problem_mark", None)
        place = f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = re.split(r"['\"]", str(getattr(error, "problem", None) or "not YAML"))[0].rstrip(" ,")
        raise ConfigError(f"{path}: cannot be read{place}: {problem}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: it is not UTF-8 (byte {error.start})") from None
    except ValueError:  # 2024-13-99
        raise ConfigError(
            f"{path}: cannot be read: a value looks like a date or a number, but is none: quote it"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _read(text: str, kind: Kind, name: str) -> Any:
    """A variable's value: literal where it is text."""
    if not kind.text:
        try:
            return yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):  # ValueError: 2024-13-99 is no date
            return text
    if not kind.many or not text.lstrip().startswith("["):
        return text
    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts, lists and mappings
    except yaml.YAMLError:
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ConfigError(f"{name}: begins with [ but is no list of texts: write [one, two], or a single text", name)
    return found


def _ready(value: Any, kind: Kind, base: Path | None = None) -> Any:
    """A relative path made absolute, secrets wrapped."""
    if kind.path and isinstance(value, str):
        return (base or Path.cwd()) / Path(value).expanduser()
    if kind.secret:
        return [SecretStr(item) for item in value] if isinstance(value, list) else SecretStr(value)
    return value


def _check_texts(value: Any, kind: Kind, where: str, key: str) -> None:
    """YAML has turned what looks like a number into one; what was written is lost. Raises ConfigError."""
    items = value if kind.many and isinstance(value, list) else [value]
    for item in items:
        if item is None or isinstance(item, (list, dict)):
            raise ConfigError(f"{where}: must be a text{' or a list of texts' if kind.many else ''}", key)
        if not isinstance(item, str):
            number = "a number" if isinstance(item, (int, float)) else f"a {type(item).__name__}"
            read = "true or false" if isinstance(item, bool) else number
            name = key.split(".")[1]
            raise ConfigError(f'{where}: YAML reads this value as {read}: write it in quotes, {name}: "..."', key)


def _is_of_kubernetes(name: str, text: str) -> bool:
    if _SERVICE_VARIABLE.fullmatch(name):
        return True
    return bool(_SERVICE_ADDRESS.fullmatch(name) and _ADDRESS.match(text))  # WORDTELL_PORT=3000 is somebody's mistake


def _atoms(annotation: Any) -> Iterator[Any]:
    inner = get_args(annotation)
    if not inner:
        yield annotation
    for part in inner:
        yield from _atoms(part)


def _mapping(value: object, where: str) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: must be a mapping of keys to values, not {type(value).__name__}")
    return value


def _name(found: object) -> str:
    """What a key that is not known may be called: `{keys:secret}`, without a blank, is one long key to YAML."""
    whole = str(found)
    name = re.match(r"[\w.-]*", whole)[0]  # type: ignore[index]  # it matches the empty text too
    return name if name == whole else f"{name}..."


def _nearest(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"

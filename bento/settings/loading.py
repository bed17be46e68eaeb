"""Reads the file and the environment, checks the values, and keeps the origin of each."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bento import folders
from bento.errors import ConfigError
from bento.settings.sections import ROOT, Settings, fields
from bento.sources import CONFIG_VARIABLE, Kind, from_environment, from_file, variable

MOUNT = Path("/mnt/models")


@dataclass(frozen=True)
class Origin:
    """A setting in effect: its dotted key, its value, and the source of the value."""

    key: str
    value: object
    source: str


@dataclass(frozen=True)
class Loaded:
    """The settings, and the origin of each."""

    settings: Settings
    origins: tuple[Origin, ...]


def load(environ: Mapping[str, str] | None = None, mount: Path = MOUNT) -> Loaded:
    """Read the file and the environment. Raises ConfigError, which names the key, its source and the remedy.

    mount: the folder where a model folder may be mounted.
    """
    environ = os.environ if environ is None else environ
    kinds = {key: Kind.of(field) for key, field in fields()}
    values: dict[str, dict[str, Any]] = {name: {} for name in Settings.model_fields}
    sources: dict[str, str] = {}
    for entry in (*from_file(_config_path(environ), kinds), *from_environment(environ, kinds)):
        section, name = entry.key.split(".")
        values[section][name] = entry.value
        sources[entry.key] = entry.where
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _fault(error.errors()[0], kinds, sources) from None
    _check_together(settings, sources)
    key = "model.checkpoint_dir"
    if _may_be_replaced(settings.model.checkpoint_dir, sources.get(key, "")) and (found := folders.mounted(mount)):
        settings = settings.serving(found)
        sources[key] = f"mounted at {mount}" + ("" if found == mount else f", in its only model folder {found.name}")
    origins = tuple(
        Origin(key, getattr(getattr(settings, key.split(".")[0]), key.split(".")[1]), sources.get(key, "default"))
        for key, _ in fields()
    )
    return Loaded(settings, origins)


def pin(environ: MutableMapping[str, str]) -> None:
    """Make the paths in the environment absolute, for a process that is started in another folder."""
    paths = (variable(key) for key, field in fields() if Kind.of(field).path)
    for name in (CONFIG_VARIABLE, *paths):
        if (text := environ.get(name, "")).strip():
            environ[name] = str(Path.cwd() / Path(text).expanduser())


def _config_path(environ: Mapping[str, str]) -> Path | None:
    if (named := environ.get(CONFIG_VARIABLE, "")).strip():
        path = Path(named).expanduser().resolve()
        if not path.is_file():
            raise ConfigError(f"{CONFIG_VARIABLE}: there is no file {path}", CONFIG_VARIABLE)
        return path
    path = ROOT / "shared_config.yaml"
    return path if path.is_file() else None


def _may_be_replaced(folder: Path, source: str) -> bool:
    """Whether the model folder is one in models/, and the environment does not name it."""
    return not source.startswith("environment") and folder.is_relative_to(ROOT / "models")


def _fault(error: Mapping[str, Any], kinds: Mapping[str, Kind], sources: Mapping[str, str]) -> ConfigError:
    """The error of pydantic in one line, with the value unless it is a secret."""
    key = ".".join(map(str, error["loc"][:2]))
    item = "".join(f"[{part}]" for part in error["loc"][2:] if isinstance(part, int))
    if ours := error.get("ctx", {}).get("error"):
        fault = str(ours)
    else:
        fault = f"{error['msg'][0].lower()}{error['msg'][1:]}"
        fault += "" if kinds[key].secret else f", not {error['input']!r}"
    return ConfigError(f"{sources[key]}: {key}{item}: {fault}", key)


def _check_together(settings: Settings, sources: Mapping[str, str]) -> None:
    """Check what concerns two fields. Raises ConfigError."""
    model = settings.model
    if model.max_tokens is not None and model.window_overlap * 2 > model.max_tokens:
        raise ConfigError(
            f"model.window_overlap is {model.window_overlap}: at most half of model.max_tokens ({model.max_tokens})",
            "model.window_overlap",
        )
    if settings.jobs.folder and settings.jobs.database_url:
        raise ConfigError("jobs.folder and jobs.database_url are both set: leave one of them out", "jobs.folder")

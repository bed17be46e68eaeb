"""shared_config.yaml and the environment -> one frozen Settings, read once.

A field is set, in rising order of precedence, by its default here, by the file, or by `WORDTELL_<SECTION>__<FIELD>`,
whose value is read as YAML (so `0`, `true` and `[a, b]` mean what they mean in the file). The file is the one that
`WORDTELL_CONFIG` names, else shared_config.yaml beside service.py, else none. An unknown key is an error in both.
A relative path is relative to the file that names it, or to the working directory when the environment does.

A model folder that is mounted at /mnt/models, where KServe puts it, is served instead of one that lies beside the code,
unless the environment names `model.checkpoint_dir`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from bento.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "WORDTELL_"
# Read by the fused operators, not here: the best instruction set that they may use.
ISA_VARIABLE = "WORDTELL_ISA"
CONFIG_VARIABLE = "WORDTELL_CONFIG"
MOUNT = Path("/mnt/models")

Positive = Annotated[int, Field(ge=1)]
Auto = Annotated[int, Field(ge=0, le=1024)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSettings(_Section):
    """Which model is served, and how long a piece of text it sees at a time."""

    name: str | None = Field(None, description="The name that clients see. Empty: the name in the model folder.")
    checkpoint_dir: Path = Field(
        ROOT / "models" / "wordtell-small",
        description="The model folder, as `make convert` writes it. One mounted at /mnt/models goes before those in"
        " models/, unless the environment names one.",
    )
    max_tokens: int | None = Field(
        None, ge=16, description="Longest window, special tokens included. Empty: what the model was made for."
    )
    window_overlap: int = Field(
        64, ge=0, description="Tokens that neighbouring windows of a longer text share; scores are blended over them."
    )


class ApiSettings(_Section):
    """What a request may hold, and how much work is taken on."""

    max_sentences: Positive = Field(120, description="Most texts in a request.")
    max_words: Positive = Field(350, description="Most words in a text.")
    max_characters: Positive = Field(20_000, description="Most characters in a text.")
    max_text_tokens: int = Field(16_384, ge=16, description="Most tokens of the model in a text.")
    max_request_tokens: int = Field(
        262_144,
        ge=16,
        description="Most tokens of the model in a request: five times what 120 texts of 350 English words make.",
    )
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="Largest request body, inflated if compressed.")
    max_buffered_bytes: Positive = Field(
        32 * 1024 * 1024, description="Most bytes that the bodies of all requests hold together."
    )
    max_connections: Positive = Field(
        1024, description="Most open connections. A new one ends the one that has been idle longest."
    )
    receive_timeout_s: float = Field(
        30, gt=0, le=3600, description="A request that has not arrived whole by then, from its first byte, gets 408."
    )
    keep_alive_s: float = Field(
        75, gt=0, le=3600, description="An idle connection is closed after that: longer than a proxy keeps its own."
    )
    inference_batch_size: Positive = Field(32, description="Most texts in one run of the model: an upper bound.")
    max_batch_tokens: int = Field(
        4096, ge=16, description="Most tokens in one run of the model, padding included: an upper bound."
    )
    use_fp16: bool = Field(
        False, description="Compute in FP16. ONNX Runtime has no FP16 kernels for CPUs: refused there."
    )
    max_queue_tokens: Positive = Field(
        262_144, description="Backlog over which a request is refused with 429. An idle server takes any request."
    )
    timeout_s: float = Field(120, gt=0, le=86_400, description="A request not answered by then gets 504.")
    shutdown_s: float = Field(30, gt=0, le=3600, description="How long a stopping server may finish admitted work.")
    cache_mb: int = Field(64, ge=0, le=1 << 20, description="MiB of scores of earlier texts to keep. 0: keep none.")
    keys: tuple[Annotated[str, Field(min_length=8)], ...] = Field(
        (), description="API keys, at least 8 characters each. Empty: no key is asked for."
    )


class CpuSettings(_Section):
    """How the cores are used. 0 means: sized from the cores that are really there."""

    lanes: Auto = Field(0, description="Texts scored at the same time. 0: one a core.")
    threads_per_lane: Auto = Field(0, description="Threads that share one text. 0: the cores divided by the lanes.")
    fused: bool = Field(True, description="Use wordtell's own operators where they are built and the model has them.")


class Settings(_Section):
    """Every setting of wordtell."""

    model: ModelSettings = ModelSettings()
    api: ApiSettings = ApiSettings()
    cpu: CpuSettings = CpuSettings()


@dataclass(frozen=True)
class Origin:
    """One effective setting: its dotted key, its value, and where that came from."""

    key: str
    value: object
    source: str


@dataclass(frozen=True)
class Loaded:
    """The settings, with the origin of each."""

    settings: Settings
    origins: tuple[Origin, ...]


def load(environ: Mapping[str, str] | None = None, mount: Path = MOUNT) -> Loaded:
    """Read the file and the environment. Raises ConfigError, naming the key, where it stands and the remedy.

    `mount` is where a model folder may be mounted.
    """
    environ = os.environ if environ is None else environ
    path = _config_path(environ)
    values: dict[str, dict[str, Any]] = {name: {} for name in Settings.model_fields}
    sources: dict[str, str] = {}
    for entry in (*_from_file(path), *_from_environment(environ)):
        section, name = entry.key.split(".")
        values[section][name] = entry.absolute()
        sources[entry.key] = entry.where
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"][:2])
        raise ConfigError(f"{sources[key]}: {key}: {_describe(first)}", key) from None
    _check_together(settings, sources)
    key = "model.checkpoint_dir"
    if _is_replaced(settings.model.checkpoint_dir, sources.get(key, ""), mount):
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"checkpoint_dir": mount})})
        sources[key] = f"mounted at {mount}"
    origins = tuple(
        Origin(key, getattr(getattr(settings, key.split(".")[0]), key.split(".")[1]), sources.get(key, "default"))
        for key, _ in fields()
    )
    return Loaded(settings, origins)


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key with its description, in the order of this file."""
    for section, default in Settings():
        for name, field in type(default).model_fields.items():
            yield f"{section}.{name}", field


def variable(key: str) -> str:
    """The environment variable of a dotted key: api.max_words -> WORDTELL_API__MAX_WORDS."""
    return PREFIX + key.upper().replace(".", "__")


@dataclass(frozen=True)
class _Entry:
    """A value as it was found: where, what a relative path is relative to, under which key."""

    where: str
    base: Path
    key: str
    value: Any

    def absolute(self) -> Any:
        """The value, a relative path made absolute."""
        if self.key == "model.checkpoint_dir" and isinstance(self.value, str):
            return self.base / Path(self.value).expanduser()
        return self.value


def _config_path(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get(CONFIG_VARIABLE):
        path = Path(named).expanduser().resolve()
        if not path.is_file():
            raise ConfigError(f"{CONFIG_VARIABLE}: there is no file {path}", CONFIG_VARIABLE)
        return path
    path = ROOT / "shared_config.yaml"
    return path if path.is_file() else None


def _from_file(path: Path | None) -> list[_Entry]:
    if path is None:
        return []
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    entries: list[_Entry] = []
    for section, body in _mapping(document, str(path)).items():
        if section not in Settings.model_fields:
            raise ConfigError(
                f"{path}: unknown section {section!r}{_nearest(str(section), Settings.model_fields)}", section
            )
        for name, value in _mapping(body, f"{path}: {section}").items():
            key = f"{section}.{name}"
            if key not in dict(fields()):
                raise ConfigError(f"{path}: unknown key {key!r}{_nearest(key, dict(fields()))}", key)
            entries.append(_Entry(path.name, path.parent, key, value))
    return entries


def _from_environment(environ: Mapping[str, str]) -> list[_Entry]:
    known = {variable(key): key for key, _ in fields()}
    entries: list[_Entry] = []
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in (CONFIG_VARIABLE, ISA_VARIABLE):
            continue
        if name not in known:
            raise ConfigError(f"unknown environment variable {name}{_nearest(name, known)}", name)
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text  # a Windows path or a key with a colon is plain text
        entries.append(_Entry(f"environment {name}", Path.cwd(), known[name], value))
    return entries


def _is_replaced(folder: Path, source: str, mount: Path) -> bool:
    """Is the model folder one of ours, named by nobody but our own file, while another is mounted?"""
    if source.startswith("environment") or not folder.is_relative_to(ROOT / "models"):
        return False
    try:
        (mount / "manifest.json").stat()
    except PermissionError:
        return True  # whoever mounted it meant it: loading it says what is wrong
    except OSError:
        return False
    return True


def _mapping(value: object, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: must be a mapping of keys to values, not {type(value).__name__}")
    return value


def _nearest(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _describe(error: Mapping[str, Any]) -> str:
    given = error["input"]
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {given!r}"


def _check_together(settings: Settings, sources: Mapping[str, str]) -> None:
    """What a single field cannot know."""
    model, api = settings.model, settings.api
    if model.max_tokens is not None and model.window_overlap * 2 > model.max_tokens:
        raise ConfigError(
            f"model.window_overlap is {model.window_overlap}: at most half of model.max_tokens ({model.max_tokens})",
            "model.window_overlap",
        )
    if api.use_fp16:
        where = sources["api.use_fp16"]
        raise ConfigError(
            f"{where}: api.use_fp16: ONNX Runtime has no FP16 kernels for CPUs; set it to false, and serve an INT8"
            " model folder for speed",
            "api.use_fp16",
        )

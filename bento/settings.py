"""shared_config.yaml and the environment -> one frozen Settings, read once.

A field is set, in rising order of precedence, by its default here, by the file, or by `WORDTELL_<SECTION>__<FIELD>`
(bento/sources.py says how each is read). The file is the one that `WORDTELL_CONFIG` names, else shared_config.yaml
beside service.py, else none. An unknown key is an error in both.
A relative path is relative to the file that names it, or to the working directory when the environment does.

A model folder that is mounted at /mnt/models, where KServe puts it, or the only one a level below, is served instead of
one that lies beside the code, unless the environment names `model.checkpoint_dir`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from bento import folders
from bento.errors import ConfigError
from bento.sources import CONFIG_VARIABLE, ISA_VARIABLE, Kind, from_environment, from_file, variable
from bento.types import WordScore

__all__ = [
    "CONFIG_VARIABLE",
    "ISA_VARIABLE",
    "MOUNT",
    "ROOT",
    "ApiSettings",
    "CpuSettings",
    "JobsSettings",
    "Loaded",
    "ModelSettings",
    "Origin",
    "Settings",
    "fields",
    "load",
    "pin",
    "variable",
]

_PACKAGE = Path(__file__).resolve().parent
# Where service.py, shared_config.yaml and models/ are: beside the package in a checkout or a Bento, in it in a wheel.
ROOT = _PACKAGE / "home" if (_PACKAGE / "home").is_dir() else _PACKAGE.parent
MOUNT = Path("/mnt/models")

_KEY_CHARACTERS = 8
# Letters, digits and a few marks: what stands in an address, and in the page's HTML, without being escaped.
_BASE_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[\w.~+@:-]+)*", re.ASCII)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[^\s/?#@:,\[\]*]+)(?::\d+)?")


def _listed(value: Any) -> Any:
    """A lone text is a list of one."""
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
Auto = Annotated[int, Field(ge=0, le=1024)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ModelSettings(_Section):
    """Which model is served, and how long a piece of text it sees at a time."""

    name: str | None = Field(None, description="The name that clients see. Empty: the name in the model folder.")
    checkpoint_dir: Path = Field(
        ROOT / "models" / "wordtell-small",
        description="The model folder, as `make convert` writes it. One mounted at /mnt/models goes before those in"
        " models/, unless the environment names one.",
    )
    require_signature: Path | None = Field(
        None, description="A public key (PEM): only a model folder that `wordtell sign` signed with its key is served."
    )
    max_tokens: int | None = Field(
        None, ge=16, description="Longest window, special tokens included. Empty: what the model was made for."
    )
    window_overlap: int = Field(
        64, ge=0, description="Tokens that neighbouring windows of a longer text share; scores are blended over them."
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$",
        description="Where an unconverted checkpoint computes: auto (a GPU if there is one), cpu, cuda or cuda:1.",
    )
    compile: bool = Field(
        False, description="Compile an unconverted checkpoint with torch.compile before the server is ready: minutes."
    )
    compile_cache: Path | None = Field(
        None, description="Folder that keeps what torch.compile made, for the next start. Empty: torch's own, in /tmp."
    )
    positive_label: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="Labels of an unconverted checkpoint that mean machine. Empty: those whose names say so."
    )
    head_activation: Literal["gelu", "relu", "tanh", "none"] | None = Field(
        None, description="Between the two layers of an unconverted checkpoint's head, where no file says it."
    )
    word_score: WordScore = Field(
        "mean", description="How the tokens of a word make its score, for an unconverted checkpoint: mean, first, max."
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
    max_document_characters: Positive = Field(200_000, description="Most characters in a document.")
    max_document_tokens: int = Field(131_072, ge=16, description="Most tokens of the model in a document.")
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="Largest request body, inflated if compressed.")
    max_buffered_bytes: Positive = Field(
        16 * 1024 * 1024, description="Most bytes that the bodies of all requests hold together."
    )
    max_connections: Positive = Field(
        4096, description="Most open connections. A new one ends the one that has been idle longest."
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
        True, description="Compute in FP16 where the device does: on GPUs. It has no effect on a CPU."
    )
    max_queue_tokens: Positive = Field(
        262_144, description="Backlog over which a request is refused with 429. An idle server takes any request."
    )
    timeout_s: float = Field(120, gt=0, le=86_400, description="A request not answered by then gets 504.")
    shutdown_s: float = Field(30, gt=0, le=3600, description="How long a stopping server may finish admitted work.")
    cache_mb: int = Field(64, ge=0, le=1 << 20, description="MiB of scores of earlier texts to keep. 0: keep none.")
    keys: Annotated[tuple[Annotated[SecretStr, AfterValidator(_key)], ...], BeforeValidator(_listed)] = Field(
        (), description="API keys, at least 8 characters each; a lone text is one. Empty: no key is asked for."
    )
    base_path: Annotated[str, AfterValidator(_base_path)] = Field(
        "",
        description="The path below which a proxy shows this server, like /wordtell. It answers there too, whether the"
        " proxy strips the path or not.",
    )
    cors_origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_listed)] = Field(
        (), description='Origins whose pages may ask this server, like https://app.example.com; "*": any. Empty: none.'
    )


class CpuSettings(_Section):
    """How the cores are used. 0 means: sized from the cores that are really there."""

    lanes: Auto = Field(0, description="Texts scored at the same time. 0: one a core.")
    threads_per_lane: Auto = Field(0, description="Threads that share one text. 0: the cores divided by the lanes.")
    fused: bool = Field(True, description="Use wordtell's own operators where they are built and the model has them.")


class JobsSettings(_Section):
    """Jobs over HTTP: on where a folder or a database is named."""

    folder: Path | None = Field(
        None, description="Folder of SQLite's files, on a disk of this machine; one server a folder. Empty: no SQLite."
    )
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = Field(
        None, description="postgresql://user:password@host/name, for any number of servers. Empty: no PostgreSQL."
    )
    max_body_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="Largest body of a job, inflated.")
    max_texts: Positive = Field(1_000_000, description="Most texts in a job.")
    max_jobs: Positive = Field(100, description="Most jobs that are kept for an API key, ended ones among them.")
    max_stored_bytes: Positive = Field(1 << 30, description="Most bytes of texts in the kept jobs of an API key.")
    min_free_mb: int = Field(64, ge=0, description="MiB of jobs.folder's disk that new jobs leave free, for results.")
    receive_timeout_s: float = Field(600, gt=0, le=86_400, description="As api.receive_timeout_s, for a job's body.")
    retention_h: float = Field(168, gt=0, le=87_600, description="Hours after which an ended job is deleted.")
    lease_s: float = Field(30, ge=1, le=3600, description="Seconds after which a chunk of a silent server is free.")
    max_attempts: int = Field(5, ge=1, le=1000, description="Servers that may end over a chunk before it is given up.")


class LogSettings(_Section):
    """How the server's log is written."""

    format: Literal["text", "json"] = Field("text", description="text, or json: an object a line, with trace ids.")


class Settings(_Section):
    """Every setting of wordtell."""

    model: ModelSettings = ModelSettings()
    api: ApiSettings = ApiSettings()
    cpu: CpuSettings = CpuSettings()
    jobs: JobsSettings = JobsSettings()
    log: LogSettings = LogSettings()


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
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"checkpoint_dir": found})})
        sources[key] = f"mounted at {mount}" + ("" if found == mount else f", in its only model folder {found.name}")
    origins = tuple(
        Origin(key, getattr(getattr(settings, key.split(".")[0]), key.split(".")[1]), sources.get(key, "default"))
        for key, _ in fields()
    )
    return Loaded(settings, origins)


def pin(environ: MutableMapping[str, str]) -> None:
    """Make the paths of the environment absolute, for a process that is started in another folder."""
    paths = (variable(key) for key, field in fields() if Kind.of(field).path)
    for name in (CONFIG_VARIABLE, *paths):
        if (text := environ.get(name, "")).strip():
            environ[name] = str(Path.cwd() / Path(text).expanduser())


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key with its description, in the order of this file."""
    for section, default in Settings():
        for name, field in type(default).model_fields.items():
            yield f"{section}.{name}", field


def _config_path(environ: Mapping[str, str]) -> Path | None:
    if (named := environ.get(CONFIG_VARIABLE, "")).strip():
        path = Path(named).expanduser().resolve()
        if not path.is_file():
            raise ConfigError(f"{CONFIG_VARIABLE}: there is no file {path}", CONFIG_VARIABLE)
        return path
    path = ROOT / "shared_config.yaml"
    return path if path.is_file() else None


def _may_be_replaced(folder: Path, source: str) -> bool:
    """Is the model folder one of ours, named by nobody but our own file?"""
    return not source.startswith("environment") and folder.is_relative_to(ROOT / "models")


def _fault(error: Mapping[str, Any], kinds: Mapping[str, Kind], sources: Mapping[str, str]) -> ConfigError:
    """What pydantic found, in one line, with the value unless it is a secret."""
    key = ".".join(map(str, error["loc"][:2]))
    item = "".join(f"[{part}]" for part in error["loc"][2:] if isinstance(part, int))
    if ours := error.get("ctx", {}).get("error"):
        fault = str(ours)
    else:
        fault = f"{error['msg'][0].lower()}{error['msg'][1:]}"
        fault += "" if kinds[key].secret else f", not {error['input']!r}"
    return ConfigError(f"{sources[key]}: {key}{item}: {fault}", key)


def _check_together(settings: Settings, sources: Mapping[str, str]) -> None:
    """What a single field cannot know."""
    model = settings.model
    if model.max_tokens is not None and model.window_overlap * 2 > model.max_tokens:
        raise ConfigError(
            f"model.window_overlap is {model.window_overlap}: at most half of model.max_tokens ({model.max_tokens})",
            "model.window_overlap",
        )
    if settings.jobs.folder and settings.jobs.database_url:
        raise ConfigError("jobs.folder and jobs.database_url are both set: leave one of them out", "jobs.folder")

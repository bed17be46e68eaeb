"""Every setting: its type, default, bounds and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from bento.settings.values import Auto, BasePath, DatabaseUrl, Key, Listed, Positive, WebOrigin
from bento.types import WordScore

_PACKAGE = Path(__file__).resolve().parent.parent
# The folder of service.py, shared_config.yaml and models/: above the package in a checkout or Bento, in it in a wheel.
ROOT = _PACKAGE / "home" if (_PACKAGE / "home").is_dir() else _PACKAGE.parent


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ModelSettings(_Section):
    """The model that is served, and its windows."""

    name: str | None = Field(None, description="The name that clients see. Empty: the name in the model folder.")
    checkpoint_dir: Path = Field(
        ROOT / "models" / "wordtell-small",
        description="The model folder, as `make convert` writes it. One mounted at /mnt/models is served instead of one"
        " in models/, unless the environment names one.",
    )
    require_signature: Path | None = Field(
        None, description="A public key (PEM): only a model folder that `wordtell sign` signed with its key is served."
    )
    max_tokens: int | None = Field(
        None, ge=16, description="Most tokens of a window, special ones included. Empty: the model folder's own limit."
    )
    window_overlap: int = Field(
        64, ge=0, description="Tokens that neighbouring windows of a text share; their scores are weighted means."
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$",
        description="The device of an unconverted checkpoint: auto (a GPU if there is one), cpu, cuda, or cuda:1.",
    )
    compile: bool = Field(
        False, description="Compile an unconverted checkpoint with torch.compile before the server is ready (minutes)."
    )
    compile_cache: Path | None = Field(
        None, description="Folder that keeps what torch.compile made, for the next start. Empty: torch's own, in /tmp."
    )
    positive_label: Annotated[tuple[str, ...], Listed] = Field(
        (), description="Labels of an unconverted checkpoint that mean machine. Empty: those whose names say so."
    )
    head_activation: Literal["gelu", "relu", "tanh", "none"] | None = Field(
        None, description="Activation between the two layers of an unconverted checkpoint's head, if no file says it."
    )
    word_score: WordScore = Field(
        "mean", description="A word's score from those of its tokens, for an unconverted checkpoint: mean, first, max."
    )


class ApiSettings(_Section):
    """Limits of requests, and admission."""

    max_sentences: Positive = Field(120, description="Most texts in a request.")
    max_words: Positive = Field(350, description="Most words in a text.")
    max_characters: Positive = Field(20_000, description="Most characters in a text.")
    max_text_tokens: int = Field(16_384, ge=16, description="Most tokens of the model in a text.")
    max_request_tokens: int = Field(
        262_144,
        ge=16,
        description="Most tokens of the model in a request: five times those of 120 texts of 350 English words.",
    )
    max_document_characters: Positive = Field(200_000, description="Most characters in a document.")
    max_document_tokens: int = Field(131_072, ge=16, description="Most tokens of the model in a document.")
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="Largest request body, inflated if compressed.")
    max_buffered_bytes: Positive = Field(
        16 * 1024 * 1024, description="Most bytes of the bodies of all requests together."
    )
    max_connections: Positive = Field(
        4096, description="Most open connections. A new one ends the one that has been idle longest."
    )
    receive_timeout_s: float = Field(
        30, gt=0, le=3600, description="Seconds from a request's first byte to its last. A slower request gets 408."
    )
    keep_alive_s: float = Field(
        75, gt=0, le=3600, description="Seconds after which an idle connection is closed: more than a proxy's limit."
    )
    inference_batch_size: Positive = Field(32, description="Most windows in one run of the model.")
    max_batch_tokens: int = Field(4096, ge=16, description="Most tokens in one run of the model, padding included.")
    use_fp16: bool = Field(True, description="Compute in FP16 on a GPU. It has no effect on a CPU.")
    max_queue_tokens: Positive = Field(
        262_144, description="Tokens in the backlog over which a request gets 429. An idle server takes any request."
    )
    timeout_s: float = Field(120, gt=0, le=86_400, description="Seconds after which an unanswered request gets 504.")
    shutdown_s: float = Field(30, gt=0, le=3600, description="Seconds that a stopping server has for what it admitted.")
    cache_mb: int = Field(64, ge=0, le=1 << 20, description="MiB of the cache of earlier texts' scores. 0: no cache.")
    keys: Annotated[tuple[Key, ...], Listed] = Field(
        (), description="API keys, at least 8 characters each: a list, or one string. Empty: no key is needed."
    )
    base_path: BasePath = Field(
        "",
        description="The path of this server behind a proxy, like /wordtell. The server answers with and without it, so"
        " the proxy may strip it or not.",
    )
    cors_origins: Annotated[tuple[WebOrigin, ...], Listed] = Field(
        (), description='Origins whose pages may call this server, like https://app.example.com; "*": all. Empty: none.'
    )


class CpuSettings(_Section):
    """How the cores are used. 0 means: derived from the number of cores that the process may use."""

    lanes: Auto = Field(0, description="Runs that are computed at the same time. 0: one per core.")
    threads_per_lane: Auto = Field(0, description="Threads that compute one run. 0: the cores divided by the lanes.")
    fused: bool = Field(
        True, description="Use wordtell's operators, if they are built and the model has the fused graph."
    )


class JobsSettings(_Section):
    """Jobs over HTTP. They need `folder` or `database_url`."""

    folder: Path | None = Field(
        None, description="Folder of the SQLite database, on a local disk, for one server only. Empty: no SQLite."
    )
    database_url: DatabaseUrl | None = Field(
        None, description="postgresql://user:password@host/name, for one server or several. Empty: no PostgreSQL."
    )
    max_body_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="Largest body of a job, inflated if compressed.")
    max_texts: Positive = Field(1_000_000, description="Most texts in a job.")
    max_jobs: Positive = Field(100, description="Most jobs that are kept for an API key, including ended ones.")
    max_stored_bytes: Positive = Field(1 << 30, description="Most bytes of texts in the kept jobs of an API key.")
    min_free_mb: int = Field(64, ge=0, description="MiB that new jobs leave free on jobs.folder's disk, for results.")
    receive_timeout_s: float = Field(600, gt=0, le=86_400, description="As api.receive_timeout_s, for a job's body.")
    retention_h: float = Field(168, gt=0, le=87_600, description="Hours after which an ended job is deleted.")
    lease_s: float = Field(
        30, ge=1, le=3600, description="Seconds after which another server may take the chunk of a silent server."
    )
    max_attempts: int = Field(5, ge=1, le=1000, description="Servers that may end while they score a chunk.")


class LogSettings(_Section):
    """The form of the server's log."""

    format: Literal["text", "json"] = Field("text", description="text, or json: one object per line, with trace ids.")


class Settings(_Section):
    """Every setting of wordtell."""

    model: ModelSettings = ModelSettings()
    api: ApiSettings = ApiSettings()
    cpu: CpuSettings = CpuSettings()
    jobs: JobsSettings = JobsSettings()
    log: LogSettings = LogSettings()

    def serving(self, folder: Path) -> Settings:
        """A copy with another model folder."""
        return self.model_copy(update={"model": self.model.model_copy(update={"checkpoint_dir": folder})})

    def uncached(self) -> Settings:
        """A copy without the cache, for measurements: every text is computed."""
        return self.model_copy(update={"api": self.api.model_copy(update={"cache_mb": 0})})


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key with its field, in the order of this file."""
    for section, default in Settings():
        for name, field in type(default).model_fields.items():
            yield f"{section}.{name}", field

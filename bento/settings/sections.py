"""Every setting: its type, its default, its bounds, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from bento.settings.values import Auto, BasePath, DatabaseUrl, Key, Listed, Positive, WebOrigin
from bento.types import WordScore

_PACKAGE = Path(__file__).resolve().parent.parent
# Where service.py, shared_config.yaml and models/ are: beside the package in a checkout or a Bento, in it in a wheel.
ROOT = _PACKAGE / "home" if (_PACKAGE / "home").is_dir() else _PACKAGE.parent


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
    positive_label: Annotated[tuple[str, ...], Listed] = Field(
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
    keys: Annotated[tuple[Key, ...], Listed] = Field(
        (), description="API keys, at least 8 characters each; a lone text is one. Empty: no key is asked for."
    )
    base_path: BasePath = Field(
        "",
        description="The path below which a proxy shows this server, like /wordtell. It answers there too, whether the"
        " proxy strips the path or not.",
    )
    cors_origins: Annotated[tuple[WebOrigin, ...], Listed] = Field(
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
    database_url: DatabaseUrl | None = Field(
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

    def serving(self, folder: Path) -> Settings:
        """The same, with another model folder."""
        return self.model_copy(update={"model": self.model.model_copy(update={"checkpoint_dir": folder})})

    def uncached(self) -> Settings:
        """The same, with no scores of earlier texts: each time that is measured is the model's."""
        return self.model_copy(update={"api": self.api.model_copy(update={"cache_mb": 0})})


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key with its description, in the order of this file."""
    for section, default in Settings():
        for name, field in type(default).model_fields.items():
            yield f"{section}.{name}", field

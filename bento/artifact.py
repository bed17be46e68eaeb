"""The model folder: its layout, its manifest, and whether it is complete.

manifest.json    what the model is, and the size and SHA-256 of every other file
model.onnx       inputs input_ids, attention_mask: int64 [batch, length]; output logits: float32 [batch, length, labels]
model.fused.onnx the same for wordtell's own operators (native/), where they cover the model: inputs input_ids: int64
                 [tokens], boundaries: int64 [windows + 1]; output logits: float32 [tokens, labels]
model.onnx.data  the weights of both, or of one that is big
tokenizer.json   the `tokenizers` library's own format
calibration.json thresholds, if `wordtell calibrate` wrote it (has its own checksum; not in the manifest)
README.md        the model card, for people (not in the manifest)
report.json      differences from the checkpoint, and speed; report.md and report.svg show the same (not in the
manifest)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from bento import calibration, folders
from bento.calibration import Calibration
from bento.errors import ArtifactError
from bento.types import WordScore

FORMAT = 2
# Format 1 differs in one thing: it does not name the engine, which is ONNX Runtime.
_READABLE = (1, 2)
MANIFEST = folders.MANIFEST
MODEL = "model.onnx"
FUSED = "model.fused.onnx"
EXTERNAL_DATA = f"{MODEL}.data"
TOKENIZER = "tokenizer.json"

Precision = Literal["fp32", "fp16", "int8"]
Engine = Literal["onnx", "torch"]
Activation = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and SHA-256 (hexadecimal) of one file."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """Read the file once, in pieces. Raises OSError."""
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        return cls(path.stat().st_size, digest.hexdigest())


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest that `convert` writes.

    labels: the model's classes, in the order of its logits; a model with a single logit (sigmoid) has one.
    positive_label: the one of them that means "written by a machine", or the several whose probabilities add up to it
    (B-AI and I-AI, say).
    activation: logits -> probabilities. softmax: one label of a token is true; sigmoid: each label independently.
    word_score: a word's score is the mean of its tokens' probabilities, its first token's, or the highest of them.
    max_tokens: the longest input that the model was made for, special tokens included.
    position_limit: the longest possible input if positions are a table; None: no limit.
    engine: onnx for ONNX Runtime; torch for PyTorch, which serves unconverted checkpoints.
    files: file name -> record, for every file that serving reads.
    source, versions: where the checkpoint came from, and which software wrote the folder.
    figures: what the verification measured, by the names and in the units of convert/verify.py's Figures.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    format: int = FORMAT
    name: str
    architecture: str
    precision: Precision
    labels: tuple[str, ...]
    positive_label: str | tuple[str, ...]
    activation: Activation = "softmax"
    word_score: WordScore = "mean"
    max_tokens: int
    engine: Engine = "onnx"
    files: dict[str, FileRecord]
    position_limit: int | None = None
    source: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def positive_labels(self) -> tuple[str, ...]:
        """The labels that mean "written by a machine"."""
        return (self.positive_label,) if isinstance(self.positive_label, str) else self.positive_label

    @property
    def positive_indices(self) -> tuple[int, ...]:
        """Which logits mean "written by a machine"."""
        return tuple(self.labels.index(label) for label in self.positive_labels)

    @property
    def digest(self) -> str:
        """Eight hexadecimal characters that change with every served file, and with how logits become scores."""
        lines = "".join(f"{name} {record.sha256}\n" for name, record in sorted(self.files.items()))
        reading = self.activation, self.word_score, self.positive_labels[1:]
        if reading != ("softmax", "mean", ()):  # so that folders which were made before these fields keep their digest
            lines += f"{self.activation} {self.word_score} {self.positive_indices}\n"
        return hashlib.sha256(lines.encode()).hexdigest()[:8]

    def to_json(self) -> str:
        """As it stands in manifest.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class ModelFolder:
    """A folder whose files `load` has compared with the manifest, or a checkpoint. tokenizer_text: if there is no
    tokenizer.json."""

    path: Path
    manifest: Manifest
    tokenizer_text: str | None = None
    calibration: Calibration | None = None

    @property
    def model(self) -> Path:
        """The ONNX graph."""
        return self.path / MODEL

    @property
    def fused(self) -> Path | None:
        """The graph for wordtell's own operators, if there is one."""
        return self.path / FUSED if FUSED in self.manifest.files else None

    @property
    def tokenizer(self) -> Path:
        """The tokenizer."""
        return self.path / TOKENIZER


def load(path: Path) -> ModelFolder:
    """Read the manifest and compare every file with it, and read the calibration, if there is one.

    Raises ArtifactError, naming the file and the remedy.
    """
    found = load_uncalibrated(path)
    return replace(found, calibration=calibration.load(path, found.manifest.digest))


def load_uncalibrated(path: Path) -> ModelFolder:
    """The same without the calibration, which may be of another model."""
    if not path.is_dir():
        raise ArtifactError(
            path,
            "no such model folder",
            "set model.checkpoint_dir, mount one at /mnt/models, or make one with `make convert`",
        )
    manifest = _read_manifest(path / MANIFEST)
    for name, expected in manifest.files.items():
        _compare(path / name, expected)
    return ModelFolder(path, manifest)


def _read_manifest(path: Path) -> Manifest:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise _not_a_folder(path) from None
    except OSError as error:
        raise ArtifactError(path, f"cannot be read ({error.strerror})", "check its permissions") from None
    try:
        manifest = TypeAdapter(Manifest).validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(path, f"not a manifest: {where or 'the file'}: {first['msg']}") from None
    if manifest.format not in _READABLE:
        raise ArtifactError(
            path, f"has format {manifest.format}, this version reads {' and '.join(map(str, _READABLE))}"
        )
    if manifest.engine != "onnx":
        found = f"is for the engine {manifest.engine}, which serves checkpoints as they are, without a manifest"
        raise ArtifactError(path, found, "take the manifest away")
    if fault := _fault_of_labels(manifest):
        raise ArtifactError(path, fault)
    if missing := {MODEL, TOKENIZER} - manifest.files.keys():
        raise ArtifactError(path, f"does not list {', '.join(sorted(missing))}")
    return manifest


def _not_a_folder(manifest: Path) -> ArtifactError:
    fault = "no such file, so this is no model folder"
    found = folders.models_in(manifest.parent)
    if not found:
        return ArtifactError(manifest, fault)
    if len(found) == 1:
        return ArtifactError(manifest, fault, f"but {found[0]} is one: name that")
    return ArtifactError(manifest, fault, f"name one of those in it: {', '.join(path.name for path in found)}")


def _fault_of_labels(manifest: Manifest) -> str | None:
    positives = manifest.positive_labels
    for label in positives:
        if label not in manifest.labels:
            return f"positive_label {label!r} is not one of its labels"
    if not positives or len(set(positives)) < len(positives):
        return f"positive_label has to name each positive label once, not {list(positives)}"
    if len(positives) > 1 and manifest.activation == "sigmoid":
        return f"activation sigmoid allows one positive_label, not {', '.join(positives)}"
    return None


def _compare(path: Path, expected: FileRecord) -> None:
    remedy = "copy the folder again, or convert the checkpoint again with `make convert`"
    try:
        found = FileRecord.of(path)
    except FileNotFoundError:
        raise ArtifactError(path, "listed in the manifest, but missing", remedy) from None
    except OSError as error:
        raise ArtifactError(path, f"cannot be read ({error.strerror})", "check its permissions") from None
    if found.bytes != expected.bytes:
        raise ArtifactError(path, f"has {found.bytes} bytes, the manifest says {expected.bytes}", remedy)
    if found.sha256 != expected.sha256:
        raise ArtifactError(path, "its SHA-256 is not the manifest's, so the file is corrupt", remedy)

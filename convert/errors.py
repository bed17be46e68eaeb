"""The errors of a conversion, and the exit code of each.

CheckpointError        2  no checkpoint, or an unsupported one       (bento/checkpoint/errors.py)
LabelError             2  nobody can tell which labels mean "written by a machine"           (there too)
ConvertError
├── TextsError         2  the texts to verify on cannot be read
├── ExportError        3  the graph cannot be made, or is not sound
├── VerificationError  4  the folder does not answer as the checkpoint does
└── WriteError         5  the folder cannot be written: the disk is full, a permission is missing
An interruption (Ctrl-C, SIGTERM) ends with 130, as shells have it. In every case an earlier folder is unchanged.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bento.checkpoint.errors import CheckpointError, LabelError
from bento.errors import WordtellError

__all__ = [
    "INTERRUPTED",
    "CheckpointError",
    "ConvertError",
    "ExportError",
    "LabelError",
    "TextsError",
    "VerificationError",
    "WriteError",
]

INTERRUPTED = 130


class ConvertError(WordtellError):
    """Root of this tree."""

    code = "convert"
    exit_code: ClassVar[int] = 1


class ExportError(ConvertError, RuntimeError):
    """No sound ONNX graph came out. A fault of ours or of the exporter, not of the user."""

    code = "export"
    exit_code = 3

    def __init__(self, architecture: str, reason: str) -> None:
        super().__init__(
            f"the {architecture} encoder could not be exported ({reason}); please report it with the config.json"
        )


class VerificationError(ConvertError, AssertionError):
    """The written folder does not answer as the checkpoint does. The message says what is over which limit."""

    code = "verification"
    exit_code = 4

    def __init__(self, precision: str, fault: str) -> None:
        super().__init__(f"{precision}: {fault}; nothing was written")


class TextsError(ConvertError, ValueError):
    """The file of --verify-texts is not what it should be."""

    code = "texts"
    exit_code = 2

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(
            f'{path}: {fault}; give a text a line, or {{"text": "two words", "labels": [0, 1]}} with a label a word'
        )


class WriteError(ConvertError, OSError):
    """The folder could not be written. No part of it is left."""

    code = "write"
    exit_code = 5

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: cannot be written ({reason}); make room or choose another --out")

"""Errors that stop a run over files. A fault of a single row does not: it is in that row's `error`.

WordtellError
└── BulkError
    ├── InputError     a file cannot be read
    │   └── NoColumn   it has no such column
    ├── OutputError    the output cannot be written, or belongs to another run
    └── ClusterError   Ray cannot be reached, or has too few CPUs
"""

from __future__ import annotations

from collections.abc import Iterable

from bento.errors import WordtellError


class BulkError(WordtellError):
    """A run over files cannot start or continue. Written rows stay, and nothing is overwritten."""

    code = "bulk"


class InputError(BulkError, OSError):
    """A file cannot be read."""


class NoColumn(InputError):
    """A file has no such column."""

    def __init__(self, file: str, wanted: str | None, columns: Iterable[str], option: str = "--text") -> None:
        listed = ", ".join(columns) or "none"
        fault = f"has no column {wanted}" if wanted else "has no column that is surely the text"
        super().__init__(f"{file} {fault}; its columns: {listed}: name one with {option}", option)


class OutputError(BulkError, OSError):
    """The output cannot be written, or belongs to another run."""


class ClusterError(BulkError, RuntimeError):
    """Ray cannot be reached, or has too few CPUs."""

"""What can go wrong with jobs; api/statuses.py has the HTTP statuses.

WordtellError
├── JobsUnavailable     the database is away or full
└── RequestError
    ├── UnknownJob      no such job of this key (a NotFound)
    ├── JobsOff         the server keeps no jobs (a NotFound)
    ├── KeyReused
    ├── QuotaExceeded
    ├── UploadsFull     (an Overloaded)
    └── LineFault       (an InvalidRequest)
"""

from __future__ import annotations

from bento.errors import InvalidRequest, NotFound, Overloaded, RequestError, WordtellError


class JobsUnavailable(WordtellError, RuntimeError):
    """The database of the jobs is away or full. Requests for scores are answered all the same."""

    code = "jobs_unavailable"

    def __init__(self, reason: str, detail: str = "") -> None:
        """`detail` is for the log: names of hosts, users and folders are in it."""
        super().__init__(f"{reason}: try again in 10 s")
        self.detail = f"{reason}: {detail}" if detail else reason


class UnknownJob(NotFound):
    """No job of this API key has that id: it never had, or it was deleted."""

    def __init__(self) -> None:
        RequestError.__init__(self, "there is no such job of this API key: it was deleted, or never made", "id")


class JobsOff(NotFound):
    """The server keeps no jobs."""

    def __init__(self) -> None:
        RequestError.__init__(self, "this server keeps no jobs: its operator may set jobs.folder or jobs.database_url")


class KeyReused(RequestError):
    """An Idempotency-Key comes with another body than the first time."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key has made a job of another body: send the same body, or another key", "Idempotency-Key"
        )


class QuotaExceeded(RequestError):
    """The API key keeps as much as `jobs.max_jobs` and `jobs.max_stored_bytes` allow."""

    code = "quota_exceeded"

    def __init__(self, kept: int, limit: int, what: str, setting: str) -> None:
        super().__init__(f"this API key keeps {kept} {what}; the limit is {limit} ({setting}): delete a job")


class UploadsFull(Overloaded):
    """As many jobs are being received as the server receives at a time."""

    def __init__(self, limit: int) -> None:
        RequestError.__init__(self, f"{limit} jobs are being received: try again in 5 s")
        self.retry_after_s = 5.0


class LineFault(InvalidRequest):
    """A line of the body is not `{"id": ..., "text": ...}`. Nothing of the body is kept."""

    def __init__(self, number: int, fault: str) -> None:
        field = f"line {number}"
        super().__init__(f'{field} {fault}: every line is {{"id": "...", "text": "..."}}', field)

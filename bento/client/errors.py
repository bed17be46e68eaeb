"""What a client raises.

ClientError
├── Refused      the server refuses the request, and would refuse it again
└── Unreachable  the server was busy or could not be reached for `patience_s` seconds
"""

from __future__ import annotations

from bento.errors import WordtellError


class ClientError(WordtellError):
    """A text has no scores, or a job no answer. index: the text's place; the texts before it have been answered."""

    def __init__(self, message: str, subject: str, index: int | None = None) -> None:
        super().__init__(message, subject)
        self.index = index


class Refused(ClientError, ValueError):
    """The server refuses a request. server_status, server_code: the HTTP status and the error code of its answer."""

    def __init__(self, subject: str, status: int, code: str, message: str, index: int | None = None) -> None:
        super().__init__(f"{subject}: {code} ({status}): {message}", subject, index)
        self.server_status = status
        self.server_code = code


class Unreachable(ClientError, ConnectionError):
    """The server was busy or could not be reached for `patience_s` seconds."""

    def __init__(self, subject: str, patience_s: float, reason: str, index: int | None = None) -> None:
        super().__init__(
            f"{subject}: no answer within {patience_s:g} s of waiting ({reason}): ask again later, or raise patience_s",
            subject,
            index,
        )

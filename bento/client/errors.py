"""What a client raises.

ClientError
├── Refused      the server will not answer, however often it is asked
└── Unreachable  the server did not answer within the client's patience
"""

from __future__ import annotations

from bento.errors import WordtellError


class ClientError(WordtellError):
    """A text has no scores. index: which of the texts; those before it have been answered."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message, f"texts[{index}]")
        self.index = index


class Refused(ClientError, ValueError):
    """The server refuses a request. server_code, server_status: the server's own."""

    def __init__(self, index: int, status: int, code: str, message: str) -> None:
        super().__init__(f"texts[{index}]: {code} ({status}): {message}", index)
        self.server_status = status
        self.server_code = code


class Unreachable(ClientError, ConnectionError):
    """The server was busy or away for longer than the client's patience."""

    def __init__(self, index: int, patience_s: float, reason: str) -> None:
        super().__init__(
            f"texts[{index}]: no answer within {patience_s:g} s of waiting ({reason}):"
            " ask again later, or raise patience_s",
            index,
        )

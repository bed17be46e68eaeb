"""Everything that can go wrong, and the HTTP status of each.

WordtellError
├── ConfigError             a setting is unknown or absurd; the server does not start
├── ModelNotReady      503  the model is still loading
│   └── ArtifactError  503  the model folder is missing, incomplete or damaged
└── RequestError
    ├── InvalidRequest    422
    ├── TooManySentences  400
    ├── TooManyWords      400
    ├── BodyTooLarge      413
    ├── Unauthorized      401
    ├── NotFound          404
    │   ├── UnknownModel    404
    │   └── UnknownVersion  404
    ├── MethodNotAllowed  405
    ├── Overloaded        429
    └── DeadlineExceeded  504

Each class builds its own message, so that the place that raises it says only the facts. Whatever is not in this tree is
a fault of ours: the client sees 500 `internal`, the log the trace.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

_INTERNAL = "something went wrong on our side; the server's log has it under this request's X-Request-Id"


class WordtellError(Exception):
    """Something went wrong. `field` names the part of the input at fault, as the client wrote it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str = _INTERNAL, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to this error."""
        return {}


class ConfigError(WordtellError, ValueError):
    """A setting is unknown, of the wrong type, or absurd."""

    code = "config"


class ModelNotReady(WordtellError, RuntimeError):
    """No request can be answered yet."""

    status = 503
    code = "model_not_ready"

    def __init__(self, message: str = "the model is still loading; try again in a few seconds") -> None:
        super().__init__(message)

    def headers(self) -> dict[str, str]:
        """A loading model is worth one more try soon."""
        return {"Retry-After": "5"}


class ArtifactError(ModelNotReady, OSError):
    """The model folder cannot be served. The message names the file and the remedy."""

    def __init__(
        self, path: Path, fault: str, remedy: str = "convert the checkpoint again with `make convert`"
    ) -> None:
        super().__init__(f"{path}: {fault}; {remedy}")
        self.path = path


class RequestError(WordtellError, ValueError):
    """The client can do something about it."""


class InvalidRequest(RequestError):
    """The body is not what the contract says."""

    status = 422
    code = "invalid_request"


class TooManySentences(RequestError):
    """A request holds more texts than `api.max_sentences`."""

    status = 400
    code = "too_many_sentences"

    def __init__(self, field: str, count: int, limit: int) -> None:
        super().__init__(f"{field} has {count} texts; the limit is {limit}: split the request", field)


class TooManyWords(RequestError):
    """A text holds more words than `api.max_words`."""

    status = 400
    code = "too_many_words"

    def __init__(self, field: str, count: int, limit: int) -> None:
        super().__init__(f"{field} has {count} words; the limit is {limit}", field)


class BodyTooLarge(RequestError):
    """The body is larger than `api.max_body_bytes`. Found while reading: the rest is never held in memory."""

    status = 413
    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is over the limit of {limit} bytes: split the request", "body")


class Unauthorized(RequestError):
    """API keys are configured, and the request carries none of them."""

    status = 401
    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__("no valid API key: send the header 'Authorization: Bearer <key>'", "Authorization")

    def headers(self) -> dict[str, str]:
        """RFC 9110, 11.6.1: a 401 names the scheme that it wants."""
        return {"WWW-Authenticate": "Bearer"}


class NotFound(RequestError):
    """No such path."""

    status = 404
    code = "not_found"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no {path}: docs.json lists the paths")


class UnknownModel(NotFound):
    """A protocol's path names another model than the one that is served."""

    def __init__(self, name: str, served: str) -> None:
        RequestError.__init__(self, f"there is no model {name[:64]!r} here: this server serves {served!r}")


class UnknownVersion(NotFound):
    """A protocol's path names another version of the model than the one that is served."""

    def __init__(self, version: str, served: str) -> None:
        RequestError.__init__(self, f"there is no version {version[:64]!r} here: this server serves {served!r}")


class MethodNotAllowed(RequestError):
    """The path exists, with another method."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allow: str) -> None:
        super().__init__(f"{path} does not answer {method}: send {allow or 'another method'}")
        self.allow = allow

    def headers(self) -> dict[str, str]:
        """RFC 9110, 15.5.6: a 405 lists the methods that there are."""
        return {"Allow": self.allow}


class Overloaded(RequestError):
    """The backlog is over `api.max_queue_tokens`. Nothing of the request was queued."""

    status = 429
    code = "overloaded"

    def __init__(self, backlog: int, limit: int, retry_after: int) -> None:
        super().__init__(f"{backlog} tokens are waiting; the limit is {limit}: try again in {retry_after} s")
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Seconds until the backlog is worked off at the speed measured so far."""
        return {"Retry-After": str(self.retry_after)}


class DeadlineExceeded(RequestError, TimeoutError):
    """The request took longer than `api.timeout_s`. Its queued work was dropped."""

    status = 504
    code = "deadline_exceeded"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not answered within {seconds:g} s (api.timeout_s); send fewer texts at a time")

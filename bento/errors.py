"""Everything that can go wrong; api/statuses.py has the HTTP status of each.

WordtellError
├── ConfigError                   a setting is unknown or has an invalid value; the server does not start
├── ModelNotReady                 the model is still loading
│   └── ArtifactError             the model folder is missing, incomplete or damaged
└── RequestError
    ├── MalformedHttp
    ├── TooManySentences
    ├── TooManyWords
    ├── TextTooLong
    ├── Unauthorized
    ├── NotFound
    │   ├── UnknownModel
    │   └── UnknownVersion
    ├── MethodNotAllowed
    ├── RequestTimeout
    ├── BodyTooLarge
    ├── UnsupportedEncoding
    ├── InvalidRequest
    │   └── Untokenisable
    ├── Overloaded
    │   ├── BodiesFull
    │   └── ConnectionsFull
    ├── HeadTooLarge
    └── DeadlineExceeded

jobs/errors.py has the errors of jobs. Each class builds its own message from the facts that it is raised with. An
exception that is not in this tree is a bug of wordtell: the client gets 500 `internal`, and the log gets the traceback.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

_INTERNAL = "something went wrong on our side; the server's log has it under this request's X-Request-Id"


class WordtellError(Exception):
    """An error of the server, if no subclass says more. field: the faulty part of the input, as the client wrote it."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str = _INTERNAL, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class ConfigError(WordtellError, ValueError):
    """A setting is unknown, has the wrong type or is out of its bounds."""

    code = "config"


class ModelNotReady(WordtellError, RuntimeError):
    """No request can be answered yet."""

    code = "model_not_ready"

    def __init__(self, message: str = "the model is still loading; try again in a few seconds") -> None:
        super().__init__(message)


class ArtifactError(ModelNotReady, OSError):
    """The model folder cannot be served. The message names the file and the remedy."""

    def __init__(
        self, path: Path, fault: str, remedy: str = "convert the checkpoint again with `make convert`"
    ) -> None:
        super().__init__(f"{path}: {fault}; {remedy}")
        self.path = path


class RequestError(WordtellError, ValueError):
    """The request is at fault, or came at a bad time: the client can change it or send it again."""


class InvalidRequest(RequestError):
    """The body, or a value in it, does not match the schema of the route."""

    code = "invalid_request"


class TooManySentences(RequestError):
    """A request holds more texts than `api.max_sentences`."""

    code = "too_many_sentences"

    def __init__(self, field: str, count: int, limit: int, *, counted: bool = True) -> None:
        found = count if counted else f"more than {count - 1}"
        super().__init__(f"{field} has {found} texts; the limit is {limit}: split the request", field)
        self.count = count
        self.limit = limit


class TooManyWords(RequestError):
    """A text holds more words than `api.max_words`."""

    code = "too_many_words"

    def __init__(self, field: str, count: int, limit: int) -> None:
        super().__init__(f"{field} has {count} words; the limit is {limit}", field)


class TextTooLong(RequestError):
    """A text has too many characters or tokens, or a request more tokens than `api.max_request_tokens`."""

    code = "text_too_long"

    @classmethod
    def in_characters(cls, field: str, count: int, limit: int, setting: str = "max_characters") -> TextTooLong:
        """For one text, before it is tokenised."""
        return cls(f"{field} has {count} characters; the limit is {limit} (api.{setting}): split it", field)

    @classmethod
    def in_tokens(cls, field: str, count: int, limit: int, setting: str = "max_text_tokens") -> TextTooLong:
        """For one text, after it is tokenised."""
        return cls(f"{field} is {count} tokens long; the limit is {limit} (api.{setting}): split it", field)

    @classmethod
    def in_all(cls, field: str, count: int, limit: int) -> TextTooLong:
        """For a request whose tokens exceed the limit when this text is counted."""
        return cls(
            f"with {field} the request has at least {count} tokens; the limit is {limit} (api.max_request_tokens):"
            " split the request",
            field,
        )


class Untokenisable(InvalidRequest):
    """The model's tokenizer fails on a text. That is the tokenizer's bug, but only another text avoids it."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} cannot be read by the model's tokenizer: leave out what is unusual in it", field)


class UnsupportedEncoding(RequestError):
    """The body has a Content-Encoding other than gzip, deflate or identity."""

    code = "unsupported_encoding"

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"Content-Encoding is {encoding[:64]!r}: send the body as it is, or by gzip or deflate", "Content-Encoding"
        )


class RequestTimeout(RequestError, TimeoutError):
    """The request had not arrived whole within `api.receive_timeout_s` of its first byte."""

    code = "request_timeout"

    def __init__(self, seconds: float, setting: str = "api.receive_timeout_s") -> None:
        super().__init__(f"the request had not arrived whole after {seconds:g} s ({setting}): send it faster")


class HeadTooLarge(RequestError):
    """The request line and headers have more bytes than the server reads."""

    code = "head_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request's head is over the limit of {limit} bytes: send fewer and shorter headers")


class MalformedHttp(RequestError):
    """What was sent is not HTTP/1.1."""

    code = "malformed_http"

    def __init__(self) -> None:
        super().__init__("this is not a request of HTTP/1.1: check the client, and any proxy before this server")


class BodyTooLarge(RequestError):
    """The body, decompressed, has more bytes than `api.max_body_bytes`. The bytes over the limit are not kept."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is over the limit of {limit} bytes: split the request", "body")


class Unauthorized(RequestError):
    """API keys are configured, and the request carries none of them."""

    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__("no valid API key: send the header 'Authorization: Bearer <key>'", "Authorization")


class NotFound(RequestError):
    """The server has no such path."""

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
    """The path exists, but not for this method."""

    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allow: str) -> None:
        super().__init__(f"{path} does not answer {method}: send {allow or 'another method'}")
        self.allow = allow


class Overloaded(RequestError):
    """The backlog is over `api.max_queue_tokens`. Nothing of the request was queued."""

    code = "overloaded"

    def __init__(self, backlog: int, limit: int, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{backlog} tokens are waiting; the limit is {limit}: try again in {self.retry_after} s")

    @property
    def retry_after(self) -> int:
        """`retry_after_s` in whole seconds, rounded up, at least 1."""
        return max(1, math.ceil(self.retry_after_s))


class BodiesFull(Overloaded):
    """The bodies of all requests together have `api.max_buffered_bytes` bytes. This body is dropped."""

    def __init__(self, limit: int) -> None:
        RequestError.__init__(
            self, f"the bodies of other requests fill api.max_buffered_bytes, {limit} bytes: try again in 1 s"
        )
        self.retry_after_s = 1.0


class ConnectionsFull(Overloaded):
    """`api.max_connections` requests are being answered."""

    def __init__(self, limit: int) -> None:
        RequestError.__init__(self, f"{limit} requests are being answered (api.max_connections): try again in 1 s")
        self.retry_after_s = 1.0


class DeadlineExceeded(RequestError, TimeoutError):
    """The request took longer than `api.timeout_s`. Its windows were removed from the backlog."""

    code = "deadline_exceeded"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not answered within {seconds:g} s (api.timeout_s); send fewer texts at a time")

"""Everything that can go wrong, and the HTTP status of each.

WordtellError
├── ConfigError                   a setting is unknown or absurd; the server does not start
├── ModelNotReady            503  the model is still loading
│   └── ArtifactError        503  the model folder is missing, incomplete or damaged
└── RequestError
    ├── MalformedHttp        400
    ├── TooManySentences     400
    ├── TooManyWords         400
    ├── TextTooLong          400
    ├── Unauthorized         401
    ├── NotFound             404
    │   ├── UnknownModel     404
    │   └── UnknownVersion   404
    ├── MethodNotAllowed     405
    ├── RequestTimeout       408
    ├── BodyTooLarge         413
    ├── UnsupportedEncoding  415
    ├── InvalidRequest       422
    │   └── Untokenisable    422
    ├── Overloaded           429
    │   ├── BodiesFull       429
    │   └── ConnectionsFull  429
    ├── HeadTooLarge         431
    └── DeadlineExceeded     504

Those of jobs are in jobs/errors.py. Each class builds its own message, so that the place that raises it says only the
facts. Whatever is not in this tree is a fault of ours: the client sees 500 `internal`, the log the trace.
"""

from __future__ import annotations

import math
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

    def __init__(self, field: str, count: int, limit: int, *, counted: bool = True) -> None:
        found = count if counted else f"more than {count - 1}"
        super().__init__(f"{field} has {found} texts; the limit is {limit}: split the request", field)
        self.count = count
        self.limit = limit


class TooManyWords(RequestError):
    """A text holds more words than `api.max_words`."""

    status = 400
    code = "too_many_words"

    def __init__(self, field: str, count: int, limit: int) -> None:
        super().__init__(f"{field} has {count} words; the limit is {limit}", field)


class TextTooLong(RequestError):
    """A text is over a limit in characters or tokens, or the request over `api.max_request_tokens`."""

    status = 400
    code = "text_too_long"

    @classmethod
    def in_characters(cls, field: str, count: int, limit: int, setting: str = "max_characters") -> TextTooLong:
        """One text, before it is tokenised."""
        return cls(f"{field} has {count} characters; the limit is {limit} (api.{setting}): split it", field)

    @classmethod
    def in_tokens(cls, field: str, count: int, limit: int, setting: str = "max_text_tokens") -> TextTooLong:
        """One text, once it is tokenised."""
        return cls(f"{field} is {count} tokens long; the limit is {limit} (api.{setting}): split it", field)

    @classmethod
    def in_all(cls, field: str, count: int, limit: int) -> TextTooLong:
        """With this text the request goes over its limit."""
        return cls(
            f"with {field} the request has at least {count} tokens; the limit is {limit} (api.max_request_tokens):"
            " split the request",
            field,
        )


class Untokenisable(InvalidRequest):
    """The model's tokenizer fails on a text: a fault of the tokenizer, but nothing else than another text helps."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} cannot be read by the model's tokenizer: leave out what is unusual in it", field)


class UnsupportedEncoding(RequestError):
    """The body has a Content-Encoding that is not understood."""

    status = 415
    code = "unsupported_encoding"

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"Content-Encoding is {encoding[:64]!r}: send the body as it is, or by gzip or deflate", "Content-Encoding"
        )

    def headers(self) -> dict[str, str]:
        """RFC 9110, 12.5.3: a 415 because of a coding lists those that are understood."""
        return {"Accept-Encoding": "gzip, deflate, identity"}


class RequestTimeout(RequestError, TimeoutError):
    """The request had not arrived whole within `api.receive_timeout_s` of its first byte."""

    status = 408
    code = "request_timeout"

    def __init__(self, seconds: float, setting: str = "api.receive_timeout_s") -> None:
        super().__init__(f"the request had not arrived whole after {seconds:g} s ({setting}): send it faster")

    def headers(self) -> dict[str, str]:
        """RFC 9110, 15.5.9: the connection ends with a 408."""
        return {"Connection": "close"}


class HeadTooLarge(RequestError):
    """The request's line and headers are longer than any client's should be."""

    status = 431
    code = "head_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request's head is over the limit of {limit} bytes: send fewer and shorter headers")


class MalformedHttp(RequestError):
    """What was sent is not HTTP/1.1."""

    status = 400
    code = "malformed_http"

    def __init__(self) -> None:
        super().__init__("this is not a request of HTTP/1.1: check the client, and any proxy before this server")


class BodyTooLarge(RequestError):
    """The body, inflated where it is compressed, is over `api.max_body_bytes`. The rest is never held in memory."""

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

    def __init__(self, backlog: int, limit: int, retry_after_s: float) -> None:
        seconds = _whole(retry_after_s)
        super().__init__(f"{backlog} tokens are waiting; the limit is {limit}: try again in {seconds} s")
        self.retry_after_s = retry_after_s

    def headers(self) -> dict[str, str]:
        """When there would be room at the speed measured so far; Retry-After is in whole seconds (RFC 9110, 10.2.3)."""
        return {
            "Retry-After": str(_whole(self.retry_after_s)),
            "Retry-After-Ms": str(math.ceil(self.retry_after_s * 1000)),
        }


class BodiesFull(Overloaded):
    """The bodies of all requests together hold `api.max_buffered_bytes`. Nothing of this one is kept."""

    def __init__(self, limit: int) -> None:
        RequestError.__init__(
            self, f"the bodies of other requests fill api.max_buffered_bytes, {limit} bytes: try again in 1 s"
        )
        self.retry_after_s = 1.0


class ConnectionsFull(Overloaded):
    """As many requests as `api.max_connections` allows are being answered."""

    def __init__(self, limit: int) -> None:
        RequestError.__init__(self, f"{limit} requests are being answered (api.max_connections): try again in 1 s")
        self.retry_after_s = 1.0


class DeadlineExceeded(RequestError, TimeoutError):
    """The request took longer than `api.timeout_s`. Its queued work was dropped."""

    status = 504
    code = "deadline_exceeded"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not answered within {seconds:g} s (api.timeout_s); send fewer texts at a time")


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))

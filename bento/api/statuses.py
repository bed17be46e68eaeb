"""From an error to its HTTP status and headers: RFC 9110, and 6585 for 429 and 431."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import singledispatch

from bento import errors
from bento.errors import WordtellError
from bento.jobs import errors as of_jobs

# A class that is not here has the status of its nearest base.
STATUSES: Mapping[type[WordtellError], int] = {
    errors.MalformedHttp: 400,
    errors.TooManySentences: 400,
    errors.TooManyWords: 400,
    errors.TextTooLong: 400,
    errors.Unauthorized: 401,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.RequestTimeout: 408,
    of_jobs.KeyReused: 409,
    errors.BodyTooLarge: 413,
    errors.UnsupportedEncoding: 415,
    errors.InvalidRequest: 422,
    errors.Overloaded: 429,
    of_jobs.QuotaExceeded: 429,
    errors.HeadTooLarge: 431,
    errors.ModelNotReady: 503,
    of_jobs.JobsUnavailable: 503,
    errors.DeadlineExceeded: 504,
    WordtellError: 500,
}


def status(kind: type[WordtellError]) -> int:
    """The status of an error's class."""
    return next(STATUSES[base] for base in kind.__mro__ if base in STATUSES)


@singledispatch
def headers(_error: WordtellError) -> dict[str, str]:
    """The headers that belong to an error: none, unless its class is below."""
    return {}


@headers.register
def _(_error: errors.ModelNotReady) -> dict[str, str]:
    return {"Retry-After": "5"}  # a loading model is worth one more try soon


@headers.register
def _(_error: errors.UnsupportedEncoding) -> dict[str, str]:
    return {"Accept-Encoding": "gzip, deflate, identity"}  # RFC 9110, 12.5.3: those that are understood


@headers.register
def _(_error: errors.RequestTimeout) -> dict[str, str]:
    return {"Connection": "close"}  # RFC 9110, 15.5.9: the connection ends with a 408


@headers.register
def _(_error: errors.Unauthorized) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"}  # RFC 9110, 11.6.1: a 401 names the scheme that it wants


@headers.register
def _(error: errors.MethodNotAllowed) -> dict[str, str]:
    return {"Allow": error.allow}  # RFC 9110, 15.5.6: a 405 lists the methods that there are


@headers.register
def _(error: errors.Overloaded) -> dict[str, str]:
    """When there would be room at the speed measured so far; Retry-After is in whole seconds (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(error.retry_after), "Retry-After-Ms": str(math.ceil(error.retry_after_s * 1000))}


@headers.register
def _(_error: of_jobs.QuotaExceeded) -> dict[str, str]:
    return {"Retry-After": "60"}  # jobs are deleted by their client, or after `jobs.retention_h`


@headers.register
def _(_error: of_jobs.JobsUnavailable) -> dict[str, str]:
    return {"Retry-After": "10"}  # a database comes back in seconds, or an operator is needed

"""Counts the values of a JSON document before it is parsed."""

from __future__ import annotations

import re

from bento.errors import InvalidRequest

# Nothing that is taken here is nested deeper than a tensor of eight dimensions within its request.
_DEPTH = 32
# A string with no escaped quote in it (the last may have no end), or one character of structure.
_TOKEN = re.compile(rb'"[^"]*"?|[\[\]{},]')
_CLOSING = {ord("["): b"]", ord("{"): b"}"}


def at_most(document: bytes, most: int) -> bytes:
    """The document if it has at most `most` strings, brackets and commas; else a beginning of that size, with its
    brackets closed.

    What json.loads builds of the answer is bounded, and the first fault of the document is the first fault of it. The
    time is that of a search through the bytes, and some microseconds for each of `most`. Raises InvalidRequest for a
    document that is nested too deeply.
    """
    # Backslashes and quotes that are escaped become other characters, so every quote that is left begins or ends a
    # string. Nothing moves.
    plain = document.replace(rb"\\", b"__").replace(rb"\"", b"__")
    closing: list[bytes] = []
    end, ending = 0, b""
    for count, token in enumerate(_TOKEN.finditer(plain)):
        first = plain[token.start()]
        if count >= most:
            return document[:end] + ending if end else document[: token.start()]
        if first in _CLOSING:
            closing.append(_CLOSING[first])
            if len(closing) > _DEPTH:
                raise InvalidRequest("the body is nested too deeply: send a list of texts", "body")
        elif first in b"]}" and closing:
            closing.pop()
        elif first == ord(","):
            end, ending = token.start(), b"".join(reversed(closing))
    return document

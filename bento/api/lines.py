"""Parses a job's body, JSON Lines, as it arrives: complete lines -> what is stored of them, or the first invalid
line."""

from __future__ import annotations

import json

from bento.api.elements import at_most
from bento.api.validation import check_limits
from bento.errors import InvalidRequest, RequestError
from bento.jobs import lines
from bento.jobs.errors import LineFault
from bento.settings import ApiSettings

# The limits of a line: bytes, and strings, brackets and commas, of which a valid line has seven.
MOST_BYTES = 1 << 20
_MOST_TOKENS = 16
_ID_CHARACTERS, _ID_DIGITS = 256, 18


def read(body: bytes, number: int, limits: ApiSettings) -> list[bytes]:
    """Whole lines, of which the first is line `number` of its job -> those to keep; blank ones are left out.

    Raises LineFault for a line that is not `{"id", "text"}`. A text over the limits is kept as its error.
    """
    found = []
    for index, line in enumerate(body.split(b"\n"), number):
        stripped = line.removeprefix(b"\xef\xbb\xbf" if index == 1 else b"").strip(b" \t\r")
        if stripped:
            found.append(_read(stripped, index, limits))
    return found


def _read(line: bytes, number: int, limits: ApiSettings) -> bytes:
    if len(line) > MOST_BYTES:
        raise LineFault(number, f"is over the limit of {MOST_BYTES} bytes")
    try:
        if at_most(line, _MOST_TOKENS) is not line:
            raise LineFault(number, "holds more than an id and a text")
        found = json.loads(line.decode("utf-8", "surrogatepass"), parse_int=_integer)
    except UnicodeDecodeError:
        raise LineFault(number, "is not UTF-8") from None
    except LineFault:
        raise
    except (ValueError, InvalidRequest):
        raise LineFault(number, "is not JSON") from None
    if not isinstance(found, dict):
        raise LineFault(number, "is no object")
    if set(found) != {"id", "text"}:
        unknown = [name for name in found if name not in ("id", "text")]
        missing = "id" if "id" not in found else "text"
        raise LineFault(number, f"has an unknown field {unknown[0][:64]!r}" if unknown else f"has no {missing}")
    name, text = found["id"], found["text"]
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise LineFault(number, "has an id that is neither a text nor a whole number")
    if isinstance(name, str) and (len(name) > _ID_CHARACTERS or any("\ud800" <= one <= "\udfff" for one in name)):
        raise LineFault(number, f"has an id of more than {_ID_CHARACTERS} characters, or with half of a surrogate pair")
    if not isinstance(text, str):
        raise LineFault(number, "has a text that is no JSON string")
    try:
        check_limits(text, limits, "text")
    except RequestError as error:
        return lines.failed(name, error)
    return lines.kept(name, text)


def _integer(digits: str) -> int:
    if len(digits) > _ID_DIGITS:
        raise ValueError("too many digits")
    return int(digits)

"""Parses a body's bytes into texts within the limits, or raises the first fault, with the client's names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bento.api.elements import at_most
from bento.errors import InvalidRequest, RequestError, TextTooLong, TooManySentences, TooManyWords
from bento.settings import ApiSettings

Model = TypeVar("Model", bound=BaseModel)

# What a request has for each text in its largest form, a tensor of eight dimensions: a string, its comma, and the
# brackets around it; and what stands beside the texts.
_TOKENS_A_TEXT = 2 + 2 * 8
_TOKENS_BESIDE = 512
_DIGITS = 32
# Not blank, as str.split() sees it: \s of other languages lacks these.
NOT_BLANK = r"[^\s\x1c-\x1f\x85]"


def parse(
    model: type[Model],
    body: bytes,
    limits: ApiSettings,
    example: str,
    check: Callable[[Model], object] = lambda found: None,
) -> Model:
    """The body as this model; `example` is the remedy for what is not one. Raises a RequestError for the first fault.

    A body with more values than a valid request can have is parsed only up to that number. Its fault is there, for the
    model or `check` to find, or it has too many values.
    """
    begun = at_most(body, _TOKENS_A_TEXT * limits.max_sentences + _TOKENS_BESIDE)
    cut = begun is not body  # closed brackets can make a beginning as long as the whole
    try:
        found = model.model_validate(_decode(begun), context=limits)
        if not cut:
            return found
        check(found)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        # What is missing in the parsed beginning may be in the rest.
        if faults := [fault for fault in faults if not (cut and fault["type"] == "missing")]:
            raise _first_fault(faults[0], example, cut) from None
    raise InvalidRequest(f"the body holds far more than a request: send only {example}", "body")


def _decode(body: bytes) -> object:
    # Not pydantic's own parser: it rejects half of a surrogate pair without saying in which text it stands.
    try:
        return json.loads(body.decode("utf-8-sig", "surrogatepass"), parse_int=_integer)
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}", "body") from None


def _integer(digits: str) -> int:
    # Python 3.10 has releases that take minutes to read a million digits.
    if len(digits) > _DIGITS:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def check_texts(texts: Sequence[str], limits: ApiSettings, field: str) -> None:
    """Raises InvalidRequest, TooManySentences or TooManyWords; `field` is what the client calls the list."""
    if not texts:
        raise InvalidRequest(f"{field} is empty: send at least one text", field)
    check_count(len(texts), limits, field)
    for index, text in enumerate(texts):
        check_limits(text, limits, f"{field}[{index}]")


def check_limits(text: str, limits: ApiSettings, name: str) -> None:
    """One text of a request. Raises TextTooLong, InvalidRequest or TooManyWords."""
    if len(text) > limits.max_characters:
        raise TextTooLong.in_characters(name, len(text), limits.max_characters)
    words = check_text(text, name)
    if words > limits.max_words:
        raise TooManyWords(name, words, limits.max_words)


def check_text(text: str, field: str) -> int:
    """How many words a text has, at least one. Raises InvalidRequest."""
    if not _is_text(text):
        raise InvalidRequest(f"{field} holds half of a surrogate pair: send whole characters", field)
    words = len(text.split())
    if words == 0:
        raise InvalidRequest(f"{field} is blank: send at least one word", field)
    return words


def documented_texts(limits: ApiSettings) -> dict[str, Any]:
    """What `check_texts` wants of a list, as far as JSON Schema can say it."""
    text = {"type": "string", "pattern": NOT_BLANK, "maxLength": limits.max_characters}
    return {"minItems": 1, "maxItems": limits.max_sentences, "items": text}


def check_count(count: int, limits: ApiSettings, field: str) -> None:
    """Raises TooManySentences."""
    if count > limits.max_sentences:
        raise TooManySentences(field, count, limits.max_sentences)


def _first_fault(fault: ErrorDetails, example: str, cut: bool) -> RequestError:
    context: dict[str, Any] = fault.get("ctx", {})
    if isinstance(ours := context.get("error"), RequestError):
        if cut and isinstance(ours, TooManySentences):
            return TooManySentences(str(ours.field), ours.count, ours.limit, counted=False)
        return ours
    field = _path(fault["loc"])[:64]  # an unknown field's name is the client's, of any length
    match fault["type"]:
        case "extra_forbidden":
            return InvalidRequest(f"{field} is not a known field: send only {example}", field)
        case "missing":
            return InvalidRequest(f"{field} is missing: send {example}", field)
        case "model_type":
            return InvalidRequest(f"{field or 'the body'} must be an object: {example}", field or "body")
        case "list_type":
            return InvalidRequest(f"{field} must be a list: {example}", field)
        case "string_type":
            return InvalidRequest(f"{field} must be a text (a JSON string)", field)
    return InvalidRequest(f"{field or 'the body'}: {fault['msg']}", field or "body")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(location: tuple[int | str, ...]) -> str:
    """("sentences", 3) -> sentences[3]"""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text

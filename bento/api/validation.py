"""From a body's bytes to texts within the limits, or the first fault found, named as the client wrote it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bento.errors import InvalidRequest, RequestError, TooManySentences, TooManyWords
from bento.settings import ApiSettings

Model = TypeVar("Model", bound=BaseModel)


def decode(body: bytes) -> object:
    """A JSON document. Raises InvalidRequest."""
    # Not pydantic's own parser: it rejects half of a surrogate pair without saying in which text it stands.
    try:
        return json.loads(body)
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}", "body") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply: send a list of texts", "body") from None


def validate(model: type[Model], document: object, limits: ApiSettings, example: str) -> Model:
    """A document of this shape; `example` is the remedy for what is not. Raises a RequestError for the first fault."""
    try:
        return model.model_validate(document, context=limits)
    except ValidationError as error:
        raise _first_fault(error.errors(include_url=False)[0], example) from None


def check_texts(texts: Sequence[str], limits: ApiSettings, field: str) -> None:
    """Raises InvalidRequest, TooManySentences or TooManyWords; `field` is what the client calls the list."""
    if not texts:
        raise InvalidRequest(f"{field} is empty: send at least one text", field)
    check_count(len(texts), limits, field)
    for index, text in enumerate(texts):
        name = f"{field}[{index}]"
        if not _is_text(text):
            raise InvalidRequest(f"{name} holds half of a surrogate pair: send whole characters", name)
        words = len(text.split())
        if words == 0:
            raise InvalidRequest(f"{name} is blank: send at least one word", name)
        if words > limits.max_words:
            raise TooManyWords(name, words, limits.max_words)


def check_count(count: int, limits: ApiSettings, field: str) -> None:
    """Raises TooManySentences."""
    if count > limits.max_sentences:
        raise TooManySentences(field, count, limits.max_sentences)


def _first_fault(fault: ErrorDetails, example: str) -> RequestError:
    context: dict[str, Any] = fault.get("ctx", {})
    if isinstance(ours := context.get("error"), RequestError):
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

"""The lines of a chunk: texts as they are kept, and their results. JSON Lines in UTF-8. Pure.

An invalid text (blank, too long) is stored as its line of the results.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from bento.errors import WordtellError
from bento.text.words import rounded
from bento.types import FloatArray

# A chunk is full at so many texts or bytes: about 15,000 tokens, half a second's work for a small model.
_CHUNK_TEXTS, _CHUNK_BYTES = 512, 64 * 1024


@dataclass(frozen=True)
class Chunk:
    """Some texts that follow each other in a job: how many, and their lines."""

    texts: int
    payload: bytes


def chunks_of(kept: Sequence[bytes]) -> list[Chunk]:
    """Lines -> the chunks that hold them."""
    chunks: list[Chunk] = []
    begin = size = 0
    for end, line in enumerate(kept, 1):
        size += len(line)
        if end == len(kept) or end - begin == _CHUNK_TEXTS or size >= _CHUNK_BYTES:
            chunks.append(Chunk(end - begin, b"\n".join(kept[begin:end])))
            begin, size = end, 0
    return chunks


def kept(name: str | int, text: str) -> bytes:
    """The line of a text."""
    return to_json({"id": name, "text": text})


def texts_of(payload: bytes) -> list[dict[str, Any]]:
    """The lines of a chunk: `{"id", "text"}`, or `{"id", "error"}` where the text is at fault."""
    return [json.loads(line) for line in payload.split(b"\n")]


def scored(name: str | int, scores: FloatArray) -> bytes:
    """The result line of a text."""
    return to_json({"id": name, "probabilities": rounded(scores)})


def failed(name: str | int, error: WordtellError) -> bytes:
    """The result line of a text that cannot be scored."""
    return to_json({"id": name, "error": {"code": error.code, "message": error.message}})


def unchanged(line: dict[str, Any]) -> bytes:
    """The result line of a text that was at fault from the beginning."""
    return to_json(line)


def given_up(payload: bytes, reason: str) -> list[bytes]:
    """The result lines of a chunk that no server could score."""
    error = WordtellError(reason)
    return [unchanged(line) if "error" in line else failed(line["id"], error) for line in texts_of(payload)]


def joined(lines: Sequence[bytes]) -> bytes:
    """The results of a chunk."""
    return b"".join(line + b"\n" for line in lines)


def without_first(results: bytes, count: int) -> bytes:
    """Results without their first lines."""
    position = 0
    for _ in range(count):
        position = results.index(b"\n", position) + 1
    return results[position:]

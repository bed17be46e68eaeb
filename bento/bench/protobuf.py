"""Reads a protobuf message without its description, because serving has no package for ONNX's messages.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def packed(values: memoryview) -> list[int]:
    """The numbers of a repeated field, one after another."""
    found, place = [], 0
    while place < len(values):
        value, place = _varint(values, place)
        found.append(value)
    return found


def fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Each field's number and value: bytes of those that have a length, an int of the others.

    Raises ValueError or LookupError for what is no message.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        size = {1: 8, 5: 4}.get(wire)
        if size is None:
            if wire != 2:
                raise ValueError("no such wire type")
            size, place = _varint(message, place)
        if place + size > len(message):
            raise ValueError("cut off")
        yield number, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number that begins there, and where the next field does."""
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place

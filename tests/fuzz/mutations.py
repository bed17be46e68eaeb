"""Ways to break a request, on every level. Each takes the chance and the message, and changes the message."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

from benchmarks.bodies import (
    COMPRESSED,
    DOCUMENTS,
    JSON_LENGTH,
    TEXTS,
    V2_BINARY,
    V2_DOCUMENTS,
    gzip_bomb,
)
from tests.fuzz.message import Message
from tests.fuzz.values import HEADERS, METHODS, NAMES, PATHS, SCALARS

Mutation = Callable[[random.Random, Message], None]


def node(chance: random.Random, message: Message) -> None:
    """Something in the document becomes something else."""
    places = list(_places(message.document))
    if not places:
        bytes_(chance, message)
        return
    holder, key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            holder[key] = chance.choice(SCALARS)
        case 1:
            holder[key] = [holder[key]] * chance.choice((1, 2, 130))
        case 2:
            del holder[key]
        case 3 if isinstance(holder, dict):
            holder[chance.choice(NAMES)] = chance.choice(SCALARS)
        case _:
            holder[key] = {chance.choice(NAMES): holder[key]}
    message.body = json.dumps(message.document, ensure_ascii=chance.random() < 0.8).encode(errors="surrogatepass")


def _places(value: Any) -> Any:
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for index in range(min(len(value), 9)):
            yield value, index
            yield from _places(value[index])


def bytes_(chance: random.Random, message: Message) -> None:
    """Bytes of the body are lost, doubled, changed, or come from nowhere."""
    body = bytearray(message.body)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(body) + 1)
        until = at + chance.choice((1, 2, 9, 100))
        match chance.randrange(5):
            case 0:
                del body[at:until]
            case 1:
                body[at:at] = body[at:until]
            case 2:
                body[at:until] = chance.randbytes(until - at)
            case 3:
                body[at:at] = chance.choice(
                    (b"\0", b"\xef\xbb\xbf", b'"', b"[", b"}", b"\\", b"\\u", b"\xed\xa0\x80", b"\n")
                )
            case _:
                del body[at:]
    message.body = bytes(body)


def hostile(chance: random.Random, message: Message) -> None:
    """A body of the benchmark, small; or not so small."""
    size = chance.choice((200, 2_000, 20_000, 100_000) + (1_500_000,) * (chance.random() < 0.03))
    message.method = "POST"
    if "v2" in message.about[0]:
        if chance.random() < 0.4:
            pair, _ = V2_BINARY[chance.choice(list(V2_BINARY))]
            message.body, length = pair(size)
            message.set(JSON_LENGTH, length)
        else:
            message.body = V2_DOCUMENTS[chance.choice(list(V2_DOCUMENTS))][0](size)
    elif chance.random() < 0.3:
        message.body = DOCUMENTS[chance.choice(list(DOCUMENTS))][0](size)
    else:
        name = b"instances" if "v1" in message.about[0] else b"sentences"
        message.body = b'{"%b":%b}' % (name, TEXTS[chance.choice(list(TEXTS))][0](size))


def encoding(chance: random.Random, message: Message) -> None:
    """Compressed: well, badly, not at all, or to a bomb."""
    match chance.randrange(6):
        case 0:
            message.body = gzip.compress(message.body, mtime=0)
            message.set("Content-Encoding", chance.choice(("gzip", "GZIP", "x-gzip", "deflate", "br", "gzip, gzip")))
        case 1:
            message.body = zlib.compress(message.body)
            message.set("Content-Encoding", chance.choice(("deflate", "gzip", "identity")))
        case 2:
            message.set("Content-Encoding", chance.choice(("gzip", "br", "zstd", "", "*", "gzip;q=1", "\xff")))
        case 3:
            packed = gzip.compress(message.body, mtime=0)
            message.body = packed[: chance.randrange(len(packed))]
            message.set("Content-Encoding", "gzip")
        case 4:
            message.body = gzip_bomb(chance.choice((6_000, 50_000)))
            message.set("Content-Encoding", chance.choice(("gzip", "deflate", "gzip, gzip")))
        case _:
            make, name, _ = COMPRESSED[chance.choice(list(COMPRESSED))]
            message.body = make(20_000)
            message.set("Content-Encoding", name)


def header(chance: random.Random, message: Message) -> None:
    """A header too many, or another one."""
    name, value = chance.choice(HEADERS)
    (message.set if chance.random() < 0.6 else message.add)(name, value)


def less(chance: random.Random, message: Message) -> None:
    """A header is missing."""
    if message.headers:
        del message.headers[chance.randrange(len(message.headers))]


def many(chance: random.Random, message: Message) -> None:
    """Hundreds of headers."""
    for index in range(chance.choice((100, 1_000, 3_000))):
        message.add(f"X-{index}", "v")


def upgrade(chance: random.Random, message: Message) -> None:
    """Another protocol is wanted."""
    message.set("Connection", "Upgrade")
    message.set("Upgrade", chance.choice(("websocket", "h2c", "TLS/1.0")))
    message.set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    message.set("Sec-WebSocket-Version", chance.choice(("13", "0")))


def method(chance: random.Random, message: Message) -> None:
    """Another method."""
    message.method = chance.choice(METHODS)


def path(chance: random.Random, message: Message) -> None:
    """Another path, or a part of one."""
    if chance.random() < 0.6:
        message.path = chance.choice(PATHS)
        return
    at = chance.randrange(len(message.path) + 1)
    message.path = message.path[:at] + chance.choice(("/", "%2f", "%", "?", ":", "..", " ", "\xe4")) + message.path[at:]


def version(chance: random.Random, message: Message) -> None:
    """Another HTTP."""
    message.version = chance.choice(("HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "http/1.1", "HTTP/1.1 x"))


def chunked(chance: random.Random, message: Message) -> None:
    """In chunks, right or wrong."""
    message.set("Transfer-Encoding", "chunked")
    pieces: list[bytes] = []
    rest = message.body
    while rest and len(pieces) < 300:
        size = min(len(rest), chance.choice((1, 7, 100, 10_000)))
        extension = chance.choice((b"", b"", b"", b";a=b", b";" + b"e" * 300))
        pieces.append(b"%x%b\r\n%b\r\n" % (size, extension, rest[:size]))
        rest = rest[size:]
    pieces.append(b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b"")
    end = chance.choice(
        (b"0\r\n\r\n",) * 4 + (b"0\r\nX-T: 1\r\n\r\n", b"", b"0\r\n", b"-1\r\n\r\n", b"fffffffffffffffff\r\n", b"g\r\n")
    )
    message.framed = b"".join(pieces) + end


def lines(chance: random.Random, message: Message) -> None:
    """Anything on the wire, the head included."""
    whole = bytearray(message.wire())
    for _ in range(chance.choice((1, 2, 6))):
        at = chance.randrange(min(len(whole), 400) + 1)
        whole[at : at + chance.randrange(3)] = chance.choice(
            (b"\n", b"\r", b"\0", b" ", b"\x80", b":", b"\r\n", b"\r\n\r\n")
        )
    message.raw = bytes(whole)


MUTATIONS: tuple[tuple[Mutation, int], ...] = (
    (node, 8),
    (bytes_, 4),
    (hostile, 5),
    (encoding, 5),
    (header, 4),
    (less, 1),
    (many, 1),
    (upgrade, 1),
    (method, 2),
    (path, 2),
    (version, 1),
    (chunked, 4),
    (lines, 2),
)

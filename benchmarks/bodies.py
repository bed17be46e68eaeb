"""Hostile bodies: small for who sends them, dear for a server that trusts them.

Each is made at the size that is asked for, so that the benchmark sends them whole and the fuzzer small.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MODEL = "wordtell-small"
PREDICT = "/api/v1/predict/sentences"
V1 = f"/v1/models/{MODEL}:predict"
V2 = f"/v2/models/{MODEL}/infer"
JSON_LENGTH = "Inference-Header-Content-Length"

# What stands under 4 MiB, the largest body that the server takes.
SIZE = 4_000_000

Maker = Callable[[int], bytes]


@dataclass(frozen=True)
class Body:
    """A request, and the statuses that the contract allows for it."""

    name: str
    path: str
    make: Maker
    statuses: frozenset[int]
    headers: Mapping[str, str] = field(default_factory=dict)


def listed(unit: bytes, size: int) -> bytes:
    """A JSON list of one thing, as often as `size` bytes hold it."""
    return b"[" + b",".join([unit] * max(1, size // (len(unit) + 1))) + b"]"


def text(unit: str, size: int) -> bytes:
    """A JSON list with one text of this, repeated."""
    return b'["' + unit.encode() * max(1, size // len(unit.encode())) + b'"]'


def long_texts(unit: str) -> Maker:
    """At most 120 texts of 19,000 characters of this, in words of about 60: each is within the limit of characters."""
    line = unit * (59 // len(unit)) + " "
    one = (line * (19_000 // 60)).strip().encode()
    return lambda size: _different(one, max(1, min(120, size // (len(one) + 6))))


def _different(one: bytes, count: int) -> bytes:
    """A JSON list of texts that begin differently: equal ones would be scored once."""
    return b"[" + b",".join(b'"%03d%b"' % (index, one) for index in range(count)) + b"]"


def nested(opening: bytes, closing: bytes, inside: bytes) -> Maker:
    """A thing in a thing in a thing."""
    pair = len(opening) + len(closing)
    return lambda size: opening * (size // pair) + inside + closing * (size // pair)


def keys(size: int, start: bytes = b"") -> bytes:
    """The inside of an object of many keys."""
    return start + b",".join(b'"k%06d":0' % index for index in range(size // 12))


# What may stand in the place of a list of texts, and how it may be refused.
TEXTS: dict[str, tuple[Maker, frozenset[int]]] = {
    "2 million numbers": (lambda size: listed(b"1", size), frozenset({400, 422})),
    "a million empty texts": (lambda size: listed(b'""', size), frozenset({400, 422})),
    "a million texts of one letter": (lambda size: listed(b'"a"', size), frozenset({400})),
    "a million empty lists": (lambda size: listed(b"[]", size), frozenset({400, 422})),
    "lists, 2 million deep": (nested(b"[", b"]", b""), frozenset({422})),
    "lists, 900 deep": (lambda size: nested(b"[", b"]", b"")(min(size, 1_800)), frozenset({422})),
    "objects, 600,000 deep": (nested(b'{"a":', b"}", b"1"), frozenset({422})),
    "one word of 3.6 MB": (lambda size: text("a", size * 9 // 10), frozenset({400})),
    "antidisestablishment x 200,000": (lambda size: text("antidisestablishment", size), frozenset({400})),
    "one text of 350 words of 10,000 letters": (
        lambda size: text("b" * (size // 360) + " ", size * 349 // 360),
        frozenset({400}),
    ),
    "120 words of 30 kB": (
        lambda size: _different(b"antidisestablishment" * (size // 2_680), 120),
        frozenset({400}),
    ),
    "71 texts of 19,000 ligatures of 6 tokens": (long_texts("\ufdfa"), frozenset({400})),
    "120 texts of 19,000 signs": (long_texts("!?;:"), frozenset({400})),
    "86 texts of 19,000 letters and emoji": (long_texts("x\U0001f600"), frozenset({400})),
    "110 texts of 19,000 letters of N'Ko": (long_texts("\u07ca\u07d2\u07db"), frozenset({200, 400})),
    "a number of 4 million digits": (lambda size: b"1" * size, frozenset({422})),
    "a fraction of 4 million digits": (lambda size: b"[0." + b"1" * size + b"]", frozenset({422})),
    "2 million escapes": (lambda size: text("\\n", size), frozenset({400, 422})),
    "650,000 \\u escapes": (lambda size: text("\\u0041", size), frozenset({400})),
    "600,000 half surrogates": (lambda size: text("\\ud800", size * 9 // 10), frozenset({400, 422})),
    "invalid UTF-8": (lambda size: b'["' + b"\xff" * size + b'"]', frozenset({422})),
}


# Whole documents of the first route.
DOCUMENTS: dict[str, tuple[Maker, frozenset[int]]] = {
    "300,000 unknown keys": (lambda size: keys(size, b'{"sentences":["a"],') + b"}", frozenset({422})),
    "a key of 3 MB": (lambda size: b'{"sentences":["a"],"' + b"k" * (size * 3 // 4) + b'":1}', frozenset({422})),
    "one key 200,000 times": (
        lambda size: b"{" + b",".join([b'"sentences":["a"]'] * (size // 18)) + b"}",
        frozenset({200, 422}),
    ),
    "blanks around a good body": (lambda size: b" " * size + b'{"sentences":["a"]}', frozenset({200})),
    "zero bytes": (lambda size: b"\0" * size, frozenset({422})),
    "a good body in UTF-16": (
        lambda size: json.dumps({"sentences": ["a" * 60 + " "] * 10}).encode("utf-16"),
        frozenset({422}),
    ),
}


def v2(data: bytes, shape: bytes = b"[1]", more: bytes = b"") -> bytes:
    """An inference request of version 2."""
    return b'{"inputs":[{"name":"t","datatype":"BYTES","shape":%b,"data":%b}]%b}' % (shape, data, more)


V2_DOCUMENTS: dict[str, tuple[Maker, frozenset[int]]] = {
    "2 million numbers, shape [2000000]": (
        lambda size: v2(listed(b"1", size), b"[%d]" % (size // 2)),
        frozenset({400, 422}),
    ),
    "a million lists in a list": (lambda size: v2(listed(b"[1]", size), b"[1,1]"), frozenset({400, 422})),
    "shape with a product of 2^248": (
        lambda size: v2(b'["a"]', b"[" + b",".join([b"2147483648"] * 8) + b"]"),
        frozenset({400, 422}),
    ),
    "shape of 2 million ones": (lambda size: v2(b'["a"]', listed(b"1", size)), frozenset({422})),
    "300,000 unknown parameters": (
        lambda size: v2(b'["a"]', b"[1]", b',"parameters":{' + keys(size) + b"}"),
        frozenset({200, 422}),
    ),
    "130,000 inputs": (
        lambda size: b'{"inputs":' + listed(b'{"name":"a","shape":[1],"datatype":"BYTES"}', size * 9 // 10) + b"}",
        frozenset({400, 422}),
    ),
    "300,000 outputs": (
        lambda size: v2(b'["a"]', b"[1]", b',"outputs":' + listed(b'{"name":"x"}', size * 9 // 10)),
        frozenset({422}),
    ),
    "300,000 known outputs": (
        lambda size: v2(b'["a"]', b"[1]", b',"outputs":' + listed(b'{"name":"word_counts"}', size * 9 // 10)),
        frozenset({200, 422}),
    ),
    "an id of 3 MB": (
        lambda size: v2(b'["a"]', b"[1]", b',"id":"' + b"i" * (size * 3 // 4) + b'"'),
        frozenset({200, 422}),
    ),
}


def binary(elements: bytes, size: int | None = None, count: int = 1, length: str | None = None) -> tuple[bytes, str]:
    """A body with the binary tensor data extension, and its length of the JSON; both may lie."""
    parameters = {"binary_data_size": len(elements) if size is None else size}
    tensor = {"name": "t", "datatype": "BYTES", "shape": [count], "parameters": parameters}
    start = json.dumps({"inputs": [tensor]}).encode()
    return start + elements, str(len(start)) if length is None else length


V2_BINARY: dict[str, tuple[Callable[[int], tuple[bytes, str]], frozenset[int]]] = {
    "a million empty elements": (lambda size: binary(b"\0" * size, count=size // 4), frozenset({400, 422})),
    "a million empty elements, shape [1]": (lambda size: binary(b"\0" * size), frozenset({400, 422})),
    "an element's length that lies": (lambda size: binary(b"\xff\xff\xff\xff" + b"a" * size), frozenset({422})),
    "binary_data_size of 10^18": (lambda size: binary(b"\1\0\0\0a", 10**18), frozenset({422})),
    "one element of 4 MB": (lambda size: binary(size.to_bytes(4, "little") + b"a" * size), frozenset({400})),
    "elements of invalid UTF-8": (
        lambda size: binary(b"\1\0\0\0\xff" * (size // 5), count=size // 5),
        frozenset({400, 422}),
    ),
    "the JSON's length is more than the body": (lambda size: binary(b"", length="1000000000"), frozenset({422})),
    "the JSON's length is 0": (lambda size: binary(b"a" * size, length="0"), frozenset({422})),
    "the JSON's length is negative": (lambda size: binary(b"a" * size, length="-1"), frozenset({422})),
}


def gzip_bomb(size: int) -> bytes:
    """A gzip file of zeros, `size` bytes long, a thousand times that when it is opened; its end is missing."""
    return _bomb(zlib.MAX_WBITS | 16, size)


def deflate_bomb(size: int) -> bytes:
    """The same with zlib's frame."""
    return _bomb(zlib.MAX_WBITS, size)


def _bomb(wbits: int, size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    zeros = bytes(1 << 22)
    start = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)  # after a full flush, blocks can be repeated
    return start + block * (size // len(block))


def gzip_members(size: int) -> bytes:
    """A gzip file of many members of 4 MiB of zeros each."""
    member = gzip.compress(bytes(1 << 22), 9, mtime=0)
    return member * max(1, size // len(member))


def _good(size: int) -> bytes:
    return b'{"sentences":["Who wrote this?"]}'


COMPRESSED: dict[str, tuple[Maker, str, frozenset[int]]] = {
    "gzip, a good body": (lambda size: gzip.compress(_good(size), mtime=0), "gzip", frozenset({200})),
    "deflate, a good body": (lambda size: zlib.compress(_good(size)), "deflate", frozenset({200})),
    "gzip bomb, 4 MB to 4 GB": (gzip_bomb, "gzip", frozenset({413})),
    "gzip bomb, 8 kB to 8 MB": (lambda size: gzip_bomb(min(size, 8_000)), "gzip", frozenset({413})),
    "gzip bomb of many members": (gzip_members, "gzip", frozenset({413, 422})),
    "deflate bomb, 4 MB to 4 GB": (deflate_bomb, "deflate", frozenset({413})),
    "gzip in gzip, 5 kB to 4 GB": (
        lambda size: gzip.compress(gzip_bomb(size), 9, mtime=0),
        "gzip, gzip",
        frozenset({413, 415, 422}),
    ),
    "gzip in gzip, told as one": (
        lambda size: gzip.compress(gzip_bomb(size), 9, mtime=0),
        "gzip",
        frozenset({413, 422}),
    ),
    "gzip, its end missing": (lambda size: gzip.compress(_good(size), mtime=0)[:-12], "gzip", frozenset({422})),
    "gzip, its sum wrong": (lambda size: gzip.compress(_good(size), mtime=0)[:-8] + bytes(8), "gzip", frozenset({422})),
    "gzip of 4 MB of garbage": (lambda size: b"\x1f\x8b\x08\0" + b"garbage " * (size // 8), "gzip", frozenset({422})),
    "gzip, not compressed at all": (_good, "gzip", frozenset({422})),
    "gzip, 4 MB behind its end": (
        lambda size: gzip.compress(_good(size), mtime=0) + b"a" * size,
        "gzip",
        frozenset({200, 413, 422}),
    ),
    "gzip, empty": (lambda size: b"", "gzip", frozenset({422})),
    "an encoding that nobody knows": (_good, "br", frozenset({415})),
    "identity": (_good, "identity", frozenset({200})),
    "a thousand encodings": (_good, ", ".join(["gzip"] * 1000), frozenset({413, 415, 422})),
}


def bodies() -> list[Body]:
    """All of them."""
    found = [Body(name, PREDICT, _within(make), ok) for name, (make, ok) in TEXTS.items()]
    found += [Body(name, PREDICT, make, ok) for name, (make, ok) in DOCUMENTS.items()]
    some = ("2 million numbers", "a million empty texts", "lists, 2 million deep", "one word of 3.6 MB")
    for name in some:
        make, ok = TEXTS[name]
        found.append(Body(f"v1: {name}", V1, _within(make, b"instances"), ok))
        found.append(Body(f"v2: {name}", V2, _v2_of(make), ok | {422}))
    found.append(
        Body(
            "v1: 300,000 unknown keys",
            V1,
            lambda size: keys(size, b'{"instances":["a"],') + b"}",
            frozenset({200, 422}),
        )
    )
    found += [Body(f"v2: {name}", V2, make, ok) for name, (make, ok) in V2_DOCUMENTS.items()]
    for name, (pair, ok) in V2_BINARY.items():
        found.append(Body(f"v2 binary: {name}", V2, _first(pair), ok, {JSON_LENGTH: pair(SIZE)[1]}))
    for name, (make, encoding, ok) in COMPRESSED.items():
        found.append(Body(name, PREDICT, make, ok, {"Content-Encoding": encoding}))
    return found


def _within(make: Maker, name: bytes = b"sentences") -> Maker:
    return lambda size: b'{"%b":%b}' % (name, make(size))


def _v2_of(make: Maker) -> Maker:
    return lambda size: v2(make(size))


def _first(pair: Callable[[int], tuple[bytes, str]]) -> Maker:
    return lambda size: pair(size)[0]

"""Hostile clients that misuse the connection, not the body: length, framing, pace, number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from benchmarks.bodies import PREDICT
from benchmarks.wire import Answer, Connection, exchange, head, request

GOOD = json.dumps({"sentences": ["Who wrote this?"]}).encode()
# api.receive_timeout_s of the server under test: the slow clients would take half a minute each otherwise.
RECEIVE_S = 2.0
PATIENCE_S = 30.0

HOST = {"Host": "127.0.0.1", "Content-Type": "application/json"}
_MEBIBYTE = bytes(1 << 20)


@dataclass(frozen=True)
class Attack:
    """What clients do to the server at a port; the statuses that the contract allows for their answers.

    `waits_s` of the time until the answer are what the contract says that the server waits.
    """

    name: str
    run: Callable[[int], Awaitable[list[Answer]]]
    statuses: frozenset[int]
    waits_s: float = 0.0


async def one(port: int, pieces: list[bytes] | AsyncIterator[bytes], method: str = "POST") -> list[Answer]:
    """One request, in pieces."""
    return [await exchange(port, pieces, PATIENCE_S, method)]


def _post(headers: dict[str, str]) -> bytes:
    return head("POST", PREDICT, HOST | headers)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _repeated(start: bytes, piece: bytes, times: int) -> AsyncIterator[bytes]:
    yield start
    for _ in range(times):
        yield piece


async def _slowly(data: bytes) -> AsyncIterator[bytes]:
    for byte in data:
        yield bytes([byte])
        await asyncio.sleep(1)


async def declared_and_sent(port: int) -> list[Answer]:
    """A gigabyte is announced, and comes."""
    return await one(port, _repeated(_post({"Content-Length": str(1 << 30)}), _MEBIBYTE, 1 << 10))


async def declared_and_not_sent(port: int) -> list[Answer]:
    """A gigabyte is announced, and nothing comes."""
    return await one(port, [_post({"Content-Length": str(1 << 30)})])


async def expecting_continue(port: int) -> list[Answer]:
    """A gigabyte is announced; the client waits to be told that it may send."""
    return await one(port, [_post({"Content-Length": str(1 << 30), "Expect": "100-continue"})])


async def chunked_without_end(port: int) -> list[Answer]:
    """Chunks of 64 kB, a gigabyte of them."""
    return await one(port, _repeated(_post({"Transfer-Encoding": "chunked"}), _chunk(bytes(1 << 16)), 1 << 14))


async def tiny_chunks(port: int) -> list[Answer]:
    """A good body in 600,000 chunks of a byte."""
    body = GOOD + b" " * 600_000
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    return await one(port, [_post({"Transfer-Encoding": "chunked"}) + framed])


async def chunk_extensions(port: int) -> list[Answer]:
    """A chunk whose head is a megabyte long."""
    return await one(port, [_post({"Transfer-Encoding": "chunked"}) + b"1;" + b"e" * (1 << 20) + b"\r\na\r\n0\r\n\r\n"])


async def slow_body(port: int) -> list[Answer]:
    """A byte of the body a second."""
    start = _post({"Content-Length": str(len(GOOD))})
    return await one(port, _after(start, _slowly(GOOD)))


async def slow_head(port: int) -> list[Answer]:
    """A byte of the head a second."""
    return await one(port, _slowly(request(PREDICT, GOOD)))


async def slow_chunks(port: int) -> list[Answer]:
    """A chunk of a byte a second."""
    framed = (_chunk(bytes([byte])) for byte in GOOD)
    return await one(port, _after(_post({"Transfer-Encoding": "chunked"}), _paced(framed)))


async def _after(start: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for piece in rest:
        yield piece


async def _paced(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(1)


async def many_bodies(port: int) -> list[Answer]:
    """200 connections send 4 MB each, all but the end; when all have done so, the ends."""
    count, size = 200, 4_000_000
    view = memoryview(b"x" * size)
    start = _post({"Content-Length": str(size)})
    sent = 0
    all_there = asyncio.Event()

    async def client() -> Answer:
        nonlocal sent
        async with Connection(port) as connection:
            reading = asyncio.create_task(connection.read())
            try:
                writing = asyncio.create_task(_both(connection, start, view[: size - 100]))
                await asyncio.wait({reading, writing}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
                sent += 1
                if sent == count:
                    all_there.set()
                await all_there.wait()
                writing.cancel()
                if not reading.done():
                    await connection.write(view[size - 100 :])
                return await asyncio.wait_for(reading, 2 * PATIENCE_S)
            finally:
                reading.cancel()

    return list(await asyncio.gather(*(client() for _ in range(count))))


async def _both(connection: Connection, start: bytes, rest: memoryview) -> bool:
    return await connection.write(start) and await connection.write(rest)


async def idle_connections(port: int) -> list[Answer]:
    """1,000 connections that send nothing; then one request."""
    return await _beside(port, 1_000, b"")


async def half_heads(port: int) -> list[Answer]:
    """1,000 connections that have sent half a head; then one request."""
    return await _beside(port, 1_000, b"POST /api/v1/predict/sentences HTTP/1.1\r\nHost: a\r\nX-Half:")


async def _beside(port: int, count: int, start: bytes) -> list[Answer]:
    connections = [Connection(port) for _ in range(count)]
    try:
        for connection in connections:
            await connection.__aenter__()
            if start:
                await connection.write(start)
        await asyncio.sleep(1)
        return await one(port, [request(PREDICT, GOOD)])
    finally:
        for connection in connections:
            connection.abort()


async def cancelled_requests(port: int) -> list[Answer]:
    """2,000 valid requests of 300 words whose clients close the connection at once, 100 at a time; then one that
    waits."""
    limit = asyncio.Semaphore(100)

    async def client(index: int) -> None:
        async with limit, Connection(port) as connection:
            await connection.write(request(PREDICT, json.dumps({"sentences": [f"word{index} " * 300]}).encode()))

    await asyncio.gather(*(client(index) for index in range(2_000)))
    return await one(port, [request(PREDICT, GOOD)])


async def pipelined(port: int) -> list[Answer]:
    """300 requests on one connection, none of which waits for the answer to the one before; it may be closed."""
    three = request("/livez", b"", method="GET") + request(PREDICT, GOOD) + request(PREDICT, b"[")
    answers: list[Answer] = []
    async with Connection(port) as connection:
        sending = asyncio.create_task(connection.write(three * 100))
        while len(answers) < 300 and (not answers or answers[-1].status):
            answers.append(await asyncio.wait_for(connection.read(), PATIENCE_S))
        await sending
    return answers


async def head_of_a_megabyte(port: int) -> list[Answer]:
    """10,000 headers of 100 bytes."""
    lines = {f"X-{index:06d}": "v" * 90 for index in range(10_000)}
    return await one(port, [_post(lines | {"Content-Length": str(len(GOOD))}) + GOOD])


async def head_without_end(port: int) -> list[Answer]:
    """Headers of 64 kB, a gigabyte of them."""
    start = _post({"X-A": "a"})[:-2]
    return await one(port, _repeated(start, b"X-B: " + b"b" * ((1 << 16) - 7) + b"\r\n", 1 << 14))


async def header_without_end(port: int) -> list[Answer]:
    """One header of a gigabyte."""
    return await one(port, _repeated(_post({"X-A": "a"})[:-4], b"a" * (1 << 16), 1 << 14))


async def path_without_end(port: int) -> list[Answer]:
    """A path of a gigabyte."""
    return await one(port, _repeated(b"GET /", b"p" * (1 << 16), 1 << 14))


async def trailers_without_end(port: int) -> list[Answer]:
    """A chunked body that is whole, and then a gigabyte of headers behind it."""
    start = _post({"Transfer-Encoding": "chunked"}) + _chunk(GOOD) + b"0\r\n"
    return await one(port, _repeated(start, b"X-B: " + b"b" * ((1 << 16) - 7) + b"\r\n", 1 << 14))


async def many_headers(port: int) -> list[Answer]:
    """3,000 short headers, 40 kB in all, and a good body."""
    lines = {f"X-{index}": "v" for index in range(3_000)}
    return await one(port, [_post(lines | {"Content-Length": str(len(GOOD))}) + GOOD])


async def path_of_60_kb(port: int) -> list[Answer]:
    """A path of 60,000 letters."""
    return await one(port, [head("GET", "/" + "p" * 60_000, HOST)], "GET")


async def two_lengths(port: int) -> list[Answer]:
    """Content-Length and Transfer-Encoding, which proxies and servers read differently."""
    return await one(
        port, [_post({"Content-Length": "4", "Transfer-Encoding": "chunked"}) + _chunk(GOOD) + b"0\r\n\r\n"]
    )


async def not_http(port: int) -> list[Answer]:
    """The first bytes of TLS."""
    return await one(port, [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n"])


def _allowed(*statuses: int) -> frozenset[int]:
    return frozenset(statuses)


ATTACKS = [
    Attack("1 GB declared and sent", declared_and_sent, _allowed(413)),
    Attack("1 GB declared and not sent", declared_and_not_sent, _allowed(413)),
    Attack("1 GB declared, Expect: 100-continue", expecting_continue, _allowed(413)),
    Attack("chunked without end", chunked_without_end, _allowed(413)),
    Attack("600,000 chunks of a byte", tiny_chunks, _allowed(200)),
    Attack("a chunk's head of 1 MB", chunk_extensions, _allowed(400, 413, 422, 431)),
    Attack("a body, a byte a second", slow_body, _allowed(408), RECEIVE_S),
    Attack("a head, a byte a second", slow_head, _allowed(408), RECEIVE_S),
    Attack("a chunk a second", slow_chunks, _allowed(408), RECEIVE_S),
    Attack("200 connections of 4 MB at once", many_bodies, _allowed(408, 413, 422, 429), RECEIVE_S),
    Attack("1,000 idle connections", idle_connections, _allowed(200), 1.0),
    Attack("1,000 half heads", half_heads, _allowed(200), 1.0),
    Attack("2,000 cancelled requests", cancelled_requests, _allowed(200, 429)),
    Attack("300 pipelined requests", pipelined, _allowed(0, 200, 422)),
    Attack("a head of 1 MB", head_of_a_megabyte, _allowed(200, 400, 413, 431)),
    Attack("a head without end", head_without_end, _allowed(400, 413, 431)),
    Attack("a header without end", header_without_end, _allowed(400, 413, 431)),
    Attack("a path without end", path_without_end, _allowed(400, 413, 414, 431)),
    Attack("trailers without end", trailers_without_end, _allowed(200, 400, 413, 431)),
    Attack("3,000 headers", many_headers, _allowed(200, 400, 431)),
    Attack("a path of 60 kB", path_of_60_kb, _allowed(400, 404, 414, 431)),
    Attack("Content-Length and Transfer-Encoding", two_lengths, _allowed(200, 400)),
    Attack("not HTTP", not_http, _allowed(0, 400)),
]

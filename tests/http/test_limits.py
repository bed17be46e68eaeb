"""What a client sends is bounded before it costs much: bytes, seconds, connections, elements, characters, tokens."""

from __future__ import annotations

import gzip
import json
import re
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.artifact import ModelFolder
from tests.http.server import Server, long_texts

PATH = "/api/v1/predict/sentences"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def strict(fake_folder: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits."""
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__RECEIVE_TIMEOUT_S": "1",
        "WORDTELL_API__KEEP_ALIVE_S": "2",
        "WORDTELL_API__MAX_CONNECTIONS": "80",
        "WORDTELL_API__MAX_BUFFERED_BYTES": "100000",
        "WORDTELL_API__MAX_BODY_BYTES": "60000",
        "WORDTELL_API__MAX_CHARACTERS": "5000",
        "WORDTELL_API__MAX_TEXT_TOKENS": "3000",
        "WORDTELL_API__MAX_REQUEST_TOKENS": "8000",
    }
    with Server(tmp_path_factory.mktemp("strict") / "log", settings) as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def until_closed(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def one_answer(connection: socket.socket) -> bytes:
    """What comes, up to the end of one answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or pytest.fail("closed without an answer")
    head, _, rest = received.partition(b"\r\n\r\n")
    (length,) = map(int, re.findall(rb"(?i)content-length: (\d+)", head))
    while len(rest) < length:
        rest += connection.recv(65536) or pytest.fail("closed within an answer")
    return head + b"\r\n\r\n" + rest


def answer(raw: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of the first answer."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, json.loads(rest[: int(headers["content-length"])])


def refused(raw: bytes) -> tuple[int, str]:
    """Status and code, after a look at the error's shape."""
    status, headers, body = answer(raw)
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    assert body["error"].keys() == {"code", "message", "field"}
    return status, body["error"]["code"]


def body_of(texts: list[str]) -> bytes:
    return json.dumps({"sentences": texts}).encode()


def ask(server: Server) -> httpx.Response:
    return server.client.post(PATH, json={"sentences": ["a"]})


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        HEAD.encode(),
        HEAD.encode() + b"Content-Length: 10\r\n\r\n",
        HEAD.encode() + b"Content-Length: 10\r\n\r\n12345",
        HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
    ids=["a byte", "half a head", "no body", "half a body", "a chunk"],
)
def test_what_does_not_arrive_whole_ends_with_408(strict: Server, sent: bytes) -> None:
    with connect(strict) as connection:
        connection.sendall(sent)
        started = time.monotonic()
        assert refused(until_closed(connection)) == (408, "request_timeout")
        assert 0.5 < time.monotonic() - started < 15


@pytest.mark.parametrize("behind", ["", "Content-Length: 500\r\n\r\n"], ids=["head", "body"])
def test_a_byte_now_and_then_does_not_put_the_deadline_off(strict: Server, behind: str) -> None:
    with connect(strict) as connection:
        connection.sendall((HEAD + behind).encode())
        for _ in range(40):
            try:
                connection.sendall(b"a")
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.1)
        else:
            pytest.fail("forty bytes in four seconds were waited for")


def test_a_head_over_the_limit(strict: Server) -> None:
    with connect(strict) as connection:
        connection.sendall(HEAD.encode() + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(40)))
        assert refused(until_closed(connection)) == (431, "head_too_large")


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00", HEAD.encode() + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"],
    ids=["nonsense", "TLS", "two lengths"],
)
def test_what_is_not_http(strict: Server, sent: bytes) -> None:
    with connect(strict) as connection:
        connection.sendall(sent)
        assert refused(until_closed(connection)) == (400, "malformed_http")


def test_a_declared_length_over_the_limit_is_answered_at_once(strict: Server) -> None:
    with connect(strict) as connection:
        connection.sendall(HEAD.encode() + b"Content-Length: 1000000000\r\n\r\n")
        started = time.monotonic()
        assert refused(one_answer(connection)) == (413, "body_too_large")
        assert time.monotonic() - started < 0.9  # far below the deadline
        until_closed(connection)


def test_after_an_early_answer_the_rest_is_read_for_a_while(strict: Server) -> None:
    with connect(strict) as connection:
        connection.sendall(HEAD.encode() + b"Content-Length: 61000\r\n\r\n")
        assert refused(one_answer(connection)) == (413, "body_too_large")
        connection.sendall(b" " * 50_000)
        time.sleep(0.2)
        connection.sendall(b" " * 11_000 + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one_answer(connection).startswith(b"HTTP/1.1 200")


def test_a_compressed_body(strict: Server) -> None:
    body = gzip.compress(body_of(["a b c"]))
    response = strict.client.post(PATH, content=body, headers={"Content-Encoding": "gzip"})
    assert [len(scores) for scores in response.json()["probabilities"]] == [3]
    bomb = gzip.compress(b" " * 100_000_000)
    response = strict.client.post(PATH, content=bomb, headers={"Content-Encoding": "gzip"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    response = strict.client.post(PATH, content=b"a", headers={"Content-Encoding": "br"})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_encoding")


def test_bodies_of_all_connections_share_a_limit(strict: Server) -> None:
    body = body_of(["a " * 100] * 20)
    padded = body + b" " * (50_000 - len(body))
    head = HEAD.encode() + b"Content-Length: 50000\r\n\r\n"
    first, second, third = (connect(strict) for _ in range(3))
    with first, second, third:
        for connection in (first, second):
            connection.sendall(head + padded[:-10])
        time.sleep(0.3)
        third.sendall(head + padded)
        assert refused(one_answer(third)) == (429, "overloaded")
        for connection in (first, second):
            connection.sendall(padded[-10:])
            assert one_answer(connection).startswith(b"HTTP/1.1 200")
    assert ask(strict).status_code == 200


def test_requests_sent_ahead_are_answered_in_order_up_to_a_few(strict: Server) -> None:
    paths = ["/livez", "/api/v1/health", "/nowhere", "/livez"]
    with connect(strict) as connection:
        connection.sendall(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))
        time.sleep(0.5)
        assert re.findall(rb"HTTP/1.1 (\d+)", connection.recv(65536)) == [b"200", b"200", b"404", b"200"]
    with connect(strict) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        answers = re.findall(rb"HTTP/1.1 (\d+)", until_closed(connection))
        assert 10 < len(answers) < 50
        assert set(answers) == {b"200"}
    assert ask(strict).status_code == 200


ENDLESS = {
    "a trailer": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: " + b"a" * 200_000,
    "trailers": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + b"X: a\r\n" * 30_000,
    "a chunk's extension": b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a" * 200_000,
}


@pytest.mark.parametrize("behind", ENDLESS.values(), ids=ENDLESS)
def test_what_follows_a_body_without_end(strict: Server, behind: bytes) -> None:
    with connect(strict) as connection:
        connection.sendall(HEAD.encode() + behind)
        assert refused(one_answer(connection)) == (431, "head_too_large")
    assert ask(strict).status_code == 200


def test_a_broken_chunk_is_told_at_once(strict: Server) -> None:
    with connect(strict) as connection:
        connection.sendall(HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        assert refused(one_answer(connection)) == (400, "malformed_http")


def test_no_tunnel_is_made(strict: Server) -> None:
    with connect(strict) as connection:
        connection.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n")
        assert refused(one_answer(connection)) == (405, "method_not_allowed")


def test_many_requests_at_once_are_begun_in_turn(strict: Server) -> None:
    """More than are begun in a turn of the loop; half of them go away before that."""
    body = body_of(["a b"])
    whole = HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    connections = [connect(strict) for _ in range(14)]
    for connection in connections:
        connection.sendall(whole)
    for connection in connections[::2]:
        connection.close()
    for connection in connections[1::2]:
        assert one_answer(connection).startswith(b"HTTP/1.1 200")
        connection.close()


def test_idle_connections_make_room_and_end(strict: Server) -> None:
    idle = [connect(strict) for _ in range(200)]
    assert httpx.get(f"http://127.0.0.1:{strict.port}/livez").status_code == 200
    for connection in idle:  # the oldest at once, the youngest after api.keep_alive_s
        assert until_closed(connection) == b""
        connection.close()


def test_an_idle_connection_outlives_those_of_proxies(server: Server) -> None:
    with connect(server) as connection:
        for _ in range(2):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert one_answer(connection).startswith(b"HTTP/1.1 200")
            time.sleep(6)  # more than uvicorn's own five seconds


def test_headers_that_no_text_can_hold(strict: Server) -> None:
    with connect(strict) as connection:
        connection.sendall(HEAD.encode() + b"Content-Type: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}")
        assert refused(one_answer(connection)) == (422, "invalid_request")


def test_an_upgrade_is_not_taken_up(strict: Server) -> None:
    body = body_of(["a"])
    for upgrade in ("websocket", "h2c"):
        headers = {"Connection": "Upgrade", "Upgrade": upgrade, "Sec-WebSocket-Version": "13"}
        assert strict.client.post(PATH, content=body, headers=headers).status_code == 200


V2 = "/v2/models/fake/infer"
V1 = "/v1/models/fake:predict"
ELEMENTS = [
    ("numbers", PATH, b'{"sentences": [' + b"1," * 20_000 + b"1]}", 422, r"sentences\[0\] must be a text"),
    ("unknown", PATH, b"{" + b",".join(b'"k%d":1' % i for i in range(4000)) + b"}", 422, "k0 is not a known field"),
    (
        "texts",
        PATH,
        b'{"sentences": [' + b'"a",' * 10_000 + b'"a"]}',
        400,
        r"sentences has more than \d+ texts; .* 120",
    ),
    ("deep", PATH, b'{"sentences": ' + b"[" * 50_000, 422, "nested too deeply"),
    ("keys behind", PATH, b'{"sentences": ["a"], "x": [' + b"0," * 20_000 + b"0]}", 422, "x is not a known field"),
    ("v1 numbers", V1, b'{"instances": [' + b"1," * 20_000 + b"1]}", 422, r"instances\[0\] must be a text"),
    ("v1 ignored", V1, b'{"x": [' + b"0," * 20_000 + b'0], "instances": ["a"]}', 422, "far more than a request"),
    (
        "v2 numbers",
        V2,
        b'{"inputs":[{"name":"t","shape":[1],"datatype":"BYTES","data":[' + b"1," * 20_000 + b"1]}]}",
        422,
        r"inputs\[0\]\[0\] must be a text",
    ),
    ("v2 inputs", V2, b'{"inputs":[' + b"{}," * 15_000 + b"{}]}", 422, "far more than a request"),
    ("v2 shape", V2, b'{"inputs":[{"name":"t","datatype":"BYTES","shape":[' + b"1," * 20_000 + b"1]}]}", 422, "shape"),
]


@pytest.mark.parametrize(("path", "body", "status", "says"), [c[1:] for c in ELEMENTS], ids=[c[0] for c in ELEMENTS])
def test_the_first_fault_of_a_body_with_too_much_in_it(
    strict: Server, path: str, body: bytes, status: int, says: str
) -> None:
    response = strict.client.post(path, content=body)
    error = response.json()["error"]
    assert response.status_code == status
    assert re.search(says, error if isinstance(error, str) else error["message"])


def test_a_million_binary_elements(server: Server) -> None:
    binary = struct.pack("<I", 0) * 1_000_000
    tensor = {"name": "t", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(binary)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = server.client.post(V2, content=head + binary, headers=headers)
    assert (response.status_code, response.json()["error"]) == (
        422,
        "inputs[0] has more than 1 texts, its shape says 1",
    )


@pytest.mark.parametrize(
    ("texts", "field", "says"),
    [
        (["a", "x" * 5001], "sentences[1]", "5001 characters; the limit is 5000 (api.max_characters)"),
        (["a", "x" * 4000], "sentences[1]", "4001 tokens long; the limit is 3000 (api.max_text_tokens)"),
        ([f"{i} " + "x" * 2800 for i in range(4)], "sentences[2]", "the limit is 8000 (api.max_request_tokens)"),
    ],
    ids=["characters", "tokens of a text", "tokens of a request"],
)
def test_a_text_that_is_too_long(strict: Server, texts: list[str], field: str, says: str) -> None:
    response = strict.client.post(PATH, content=body_of(texts))
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (400, "text_too_long", field)
    assert says in error["message"]
    response = strict.client.post(V1, json={"instances": texts})
    assert (response.status_code, says in response.json()["error"]) == (400, True)


def test_the_defaults_admit_a_long_word_and_a_full_request(embedded: Server) -> None:
    texts = ["x" * 10_000, *long_texts(119, "full")]
    response = embedded.client.post(PATH, json={"sentences": texts})
    assert [len(scores) for scores in response.json()["probabilities"]] == [1, *[350] * 119]


def test_typed_control_tokens_score_as_text(embedded: Server) -> None:
    plain = "We meet tonight at a crossroads."
    steered = "[SEP] [CLS] " + plain
    scores = embedded.client.post(PATH, json={"sentences": [steered, "(SEP) (CLS) " + plain]}).json()["probabilities"]
    assert len(scores[0]) == len(scores[1]) == 8


def metric(server: Server, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_client_that_goes_away_is_counted_and_leaves_nothing_behind(tmp_path: Path, fake_folder: ModelFolder) -> None:
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_CPU__LANES": "1",
        "WORDTELL_API__MAX_QUEUE_TOKENS": "2000000",
    }
    with Server(tmp_path / "log", settings) as server:
        for seed in "abc":
            with connect(server) as connection:
                body = body_of(long_texts(120, seed))
                connection.sendall(HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                time.sleep(0.1)
        counted = f'wordtell_http_requests_total{{route="{PATH}",status="499"}}'
        give_up = time.monotonic() + 20
        while metric(server, counted) < 3 or metric(server, "wordtell_queue_tokens"):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert time.monotonic() - started < 15  # no task of theirs lives on


def test_one_key_is_told_nothing_of_anothers_texts(tmp_path: Path, fake_folder: ModelFolder) -> None:
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_API__KEYS": "[first-of-two, second-of-two]",
    }

    def cached(server: Server, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        response = server.client.post(PATH, json={"sentences": ["a secret text"]}, headers=headers)
        return int(response.json()["metadata"]["cached_sentences"])

    with Server(tmp_path / "log", settings) as server:
        assert [cached(server, key) for key in ("first-of-two", "second-of-two", "first-of-two")] == [0, 0, 1]

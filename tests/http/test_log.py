"""A request cannot forge a line of the log, whoever writes it."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import pytest

from bento.artifact import ModelFolder
from tests.http.server import Server

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d{4} \[(INFO|WARNING|ERROR)\] \[[\w:]+\] .*")


def send(server: Server, head: bytes) -> bytes:
    """Bytes as they are: a client would not send these."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head + b"\r\nHost: here\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def written(server: Server, marker: str, before: int) -> list[str]:
    """The lines since `before`, once one of them has the marker."""
    give_up = time.monotonic() + 10
    while marker not in (text := server.log.read_bytes()[before:].decode()):
        assert time.monotonic() < give_up, text
        time.sleep(0.02)
    assert text.endswith("\n")
    return text.split("\n")[:-1]


ESCAPED = r"/x\nERROR: fake\r\x1b[31m\u2028\x85z"
FORGED = b"/x%0aERROR:%20fake%0d%1b[31m%e2%80%a8%c2%85z"


@pytest.mark.parametrize(
    "head",
    [
        b"GET " + FORGED + b" HTTP/1.1",
        b"HEAD " + FORGED + b" HTTP/1.1",
        b"POST " + FORGED + b" HTTP/1.1",
        b"DELETE " + FORGED + b" HTTP/1.1",
        b"GET " + FORGED + b"?y%0aERROR:%20fake HTTP/1.1",
        b"GET " + FORGED + b" HTTP/1.1\r\nX-Request-Id: \xe2\x80\xa8ERROR",
        b"GET " + FORGED + b" HTTP/1.1\r\nContent-Type: a\xe2\x80\xa8\xc2\x85ERROR: fake",
        b"GET " + FORGED + b" HTTP/1.1\r\nUser-Agent: \xe2\x80\xa8ERROR\r\nX-Forwarded-For: \xe2\x80\xa8ERROR",
        b"GET /v2/models" + FORGED + b" HTTP/1.1",
        b"GET /static_content" + FORGED + b" HTTP/1.1",
    ],
)
def test_a_request_is_one_line(server: Server, head: bytes) -> None:
    before = server.log.stat().st_size
    assert re.match(rb"HTTP/1.1 40[45] ", send(server, head))
    (line,) = written(server, "x1b[31m", before)
    assert LINE.fullmatch(line), line
    assert ESCAPED in line
    assert line.isprintable()


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nX: \x1b[31m", b"GET /\xe2\x80\xa8 HTTP/1.1", b"G\x1bT / HTTP/1.1", b"GET /\x1b[31m HTTP/1.1"],
)
def test_what_is_not_http_is_answered_and_not_logged(server: Server, head: bytes) -> None:
    before = server.log.stat().st_size
    assert send(server, head).startswith(b"HTTP/1.1 400 ")
    assert send(server, b"GET /nowhere HTTP/1.1").startswith(b"HTTP/1.1 404 ")
    (line,) = written(server, "/nowhere", before)
    assert server.log.read_bytes()[before:].decode().splitlines() == [line]


@pytest.mark.parametrize("content_type", [b"\xff", b"text/\xe9", b"\xe2\x80\xa8"])
def test_a_content_type_of_any_bytes_is_answered(server: Server, content_type: bytes) -> None:
    """BentoML's access log would decode it, and fail after the answer's head was sent."""
    answer = send(server, b"GET /api/v1/health HTTP/1.1\r\nContent-Type: " + content_type)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"}")


def test_the_name_of_a_folder_is_one_line(tmp_path: Path, fake_folder: ModelFolder) -> None:
    folder = tmp_path / "a\nERROR: fake\x1b[31m"
    folder.symlink_to(fake_folder.path)
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(folder),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_MODEL__NAME": "b\r\nfake",
    }
    with Server(tmp_path / "log", settings) as server:
        server.client.get("/livez")
    lines = server.log.read_bytes().decode().split("\n")[:-1]
    assert all(LINE.fullmatch(line) and line.isprintable() for line in lines)
    assert any(rf"serving b\r\nfake-fp32-{fake_folder.manifest.digest}-" in line for line in lines)
    assert any(r"/a\nERROR: fake\x1b[31m with" in line for line in lines)

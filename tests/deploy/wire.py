"""The fake API server's HTTP: JSON, the protobuf that Helm writes Secrets in, streams and port-forwards."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bento.bench.protobuf import fields
from tests.deploy.portforward import forward

Object = dict[str, Any]
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, str]
    content: str
    body: Any
    agent: str = ""
    accept: str = ""

    @property
    def aggregated(self) -> bool:
        """Whether discovery is asked for in one answer."""
        return "as=APIGroupDiscoveryList" in self.accept


class Refused(Exception):
    """Answer with a Status object."""

    def __init__(
        self, code: int, reason: str, message: str, details: Object | None = None, retry_after: str = ""
    ) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after
        self.status = {
            **{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"},
            **{"message": message, "reason": reason, "details": details or {}, "code": code},
        }


class Handler(BaseHTTPRequestHandler):
    """One connection. `state` is an `ApiServer`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: Any

    def log_message(self, *_: Any) -> None:
        """Nothing: a test's output is pytest's."""

    def _do(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        body = _body(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if self.state.down_until > time.monotonic():
            self.close_connection = True  # as a server that is being restarted: no answer at all
            return
        # Go's client sends no token over plain HTTP; a wrong one is refused.
        if self.headers.get("Authorization", "Bearer of-jane") != "Bearer of-jane":
            self._send(401, Refused(401, "Unauthorized", "Unauthorized").status)
            return
        content, agent = self.headers.get("Content-Type", ""), self.headers.get("User-Agent", "")
        request = Request(self.command, parts.path, query, content, body, agent, self.headers.get("Accept", ""))
        if parts.path.endswith("/portforward"):
            self.close_connection = True
            port = query["ports"]
            forward(self.connection, self.headers, self.state.backends[port], int(port))
            return
        if query.get("watch") == "true":
            self._stream(request)
            return
        time.sleep(self.state.delay_s)
        try:
            answer = self.state.answer(request)
        except Refused as refusal:
            self._send(refusal.code, refusal.status, retry_after=refusal.retry_after)
        else:
            found = isinstance(answer, dict) and answer.get("kind") == "APIGroupDiscoveryList"
            self._send(201 if self.command == "POST" else 200, answer, content=_AGGREGATED if found else "")

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do  # noqa: N815

    def _send(self, code: int, body: Object | str, *, retry_after: str = "", content: str = "") -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(code)
        self.send_header("Content-Type", content or ("text/plain" if isinstance(body, str) else "application/json"))
        self.send_header("Content-Length", str(len(raw)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, request: Request) -> None:
        self.state.requests.append(request)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for line in self.state.follow(request):
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True


def _body(raw: bytes) -> Any:
    """JSON, or a Secret in Kubernetes' protobuf envelope; of anything else in protobuf, nothing is needed."""
    if not raw.startswith(b"k8s\0"):
        return json.loads(raw) if raw else None
    envelope = _message(raw[4:])
    if _message(envelope[1][0])[2][0] != b"Secret":
        return {}
    secret = _message(envelope[2][0])
    metadata = _message(secret[1][0])
    return {
        "apiVersion": "v1", "kind": "Secret", "type": secret[3][0].decode(),
        "metadata": {
            "name": metadata[1][0].decode(),
            "resourceVersion": metadata.get(6, [b""])[0].decode(),
            "labels": {key: value.decode() for key, value in _map(metadata.get(11, []))},
        },
        "data": {key: base64.b64encode(value).decode() for key, value in _map(secret.get(2, []))},
    }  # fmt: skip


def _map(entries: list[bytes]) -> Iterator[tuple[str, bytes]]:
    for entry in map(_message, entries):
        yield entry[1][0].decode(), entry.get(2, [b""])[0]


def _message(raw: bytes) -> dict[int, list[Any]]:
    """A protobuf message's fields by number: texts and messages as bytes, numbers as ints."""
    found: dict[int, list[Any]] = {}
    for number, value in fields(memoryview(raw)):
        found.setdefault(number, []).append(value if isinstance(value, int) else bytes(value))
    return found

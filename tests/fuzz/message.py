"""A request that can be broken: its parts apart, until it is written to the wire."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from benchmarks.bodies import JSON_LENGTH, MODEL, PREDICT, V1, binary
from bento.api import app
from bento.api.lifecycle import Lifecycle
from bento.settings import Settings

# In every text, so that a log that holds it holds a text.
CANARY = "canarybird"
# Texts whose scores are known before the run; everything else is made of their words.
KNOWN = (
    f"The {CANARY} sang in the morning, and the miners went down.",
    f"It is important to note that every {CANARY} contributes to a vibrant ecosystem.",
    f"{CANARY} \u4e2d\u6587 \U0001f600 na\u00efve caf\u00e9",
    f"a{CANARY}\u200b \u00ad x",
    f"{CANARY} " + "and so on " * 40,
)

DOCUMENT = "/api/v1/predict/document"
_ROUTES = app.create(Lifecycle(Settings())).openapi()["paths"]
# All that the document lists, and those that it does not list; `{name}` and `{version}` are the served model's.
# Jobs are off, as they are by default: their routes answer 404.
_ANSWERED = (path for path, methods in _ROUTES.items() if "get" in methods and "/jobs" not in path)
GETS = ("/", "/docs", "/docs.json", "/page/app.js", *_ANSWERED)
INFERS = tuple(path for path in _ROUTES if path.endswith("/infer"))


@dataclass
class Message:
    """One request, as lists and bytes that a mutation may change.

    `framed` is sent in the place of the body, `raw` in the place of everything. `texts` are what a good answer scores;
    None once the request may be refused. `about` says what was done to it.
    """

    method: str = "POST"
    path: str = PREDICT
    version: str = "HTTP/1.1"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    document: Any = None
    body: bytes = b""
    framed: bytes | None = None
    raw: bytes | None = None
    texts: list[str] | None = None
    about: list[str] = field(default_factory=list)

    def set(self, name: str, value: str | bytes) -> None:
        """Replace a header."""
        self.headers = [one for one in self.headers if one[0].lower() != name.lower().encode()]
        self.add(name, value)

    def add(self, name: str, value: str | bytes) -> None:
        """Add a header, whatever is there."""
        self.headers.append((name.encode(), value if isinstance(value, bytes) else value.encode("latin-1", "replace")))

    def wire(self) -> bytes:
        """What is sent."""
        if self.raw is not None:
            return self.raw
        lines = [f"{self.method} {self.path} {self.version}".encode("latin-1", "replace")]
        lines += [name + b": " + value for name, value in self.headers]
        return b"\r\n".join([*lines, b"", self.body if self.framed is None else self.framed])

    def measured(self) -> None:
        """Content-Length as it is, unless something else says where the body ends."""
        names = {name.lower() for name, _ in self.headers}
        if not names & {b"content-length", b"transfer-encoding"} and self.method not in ("GET", "HEAD"):
            self.add("Content-Length", str(len(self.body)))


def good(chance: random.Random, version: str) -> Message:
    """A request that the contract answers with 200, to a server of this model version."""
    message = Message(headers=[(b"Host", b"127.0.0.1")])
    if chance.random() < 0.25:
        message.method, message.path = (
            chance.choice(("GET", "GET", "GET", "HEAD")),
            _filled(chance.choice(GETS), version),
        )
        message.about.append(f"{message.method} {message.path}")
        return message
    message.texts = texts = [chance.choice(KNOWN) for _ in range(chance.choice((1, 1, 1, 2, 3, 8)))]
    kind = chance.choice(("predict", "predict", "predict", "document", "v1", "v2", "v2 binary"))
    message.about.append(kind)
    if kind == "predict":
        message.document = {"sentences": list(texts)}
    elif kind == "document":
        del texts[1:]
        message.path, message.document = DOCUMENT, {"text": texts[0]}
        if chance.random() < 0.5:
            message.add("Accept", "text/event-stream")
    elif kind == "v1":
        message.path, message.document = V1, {"instances": list(texts)}
    elif kind == "v2":
        tensor = {"name": "t", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
        message.path, message.document = _filled(chance.choice(INFERS), version), {"id": "7", "inputs": [tensor]}
    else:
        raw = [text.encode() for text in texts]
        elements = b"".join(len(one).to_bytes(4, "little") + one for one in raw)
        message.path = _filled(chance.choice(INFERS), version)
        message.body, length = binary(elements, count=len(texts))
        message.add(JSON_LENGTH, length)
    if message.document is not None:
        message.body = json.dumps(message.document, ensure_ascii=chance.random() < 0.5).encode()
    message.add("Content-Type", "application/json")
    return message


def _filled(path: str, version: str) -> str:
    return path.format(name=MODEL, version=version)

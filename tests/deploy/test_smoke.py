"""`wordtell-deploy smoke`, against what a pod answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.deploy.api_server import ApiServer
from tests.deploy.conftest import Deploy


@pytest.fixture
def backend() -> Iterator[ThreadingHTTPServer]:
    """What a pod of ours answers, in the contract's shape."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            metadata = {
                "model_version": "tiny-int8-1",
                "processing_time_ms": 3.2,
                "engine": "fake",
                "precision": "int8",
            }
            scores = [[0.5] * len(text.split()) for text in asked["sentences"]]
            body = json.dumps({"probabilities": scores, "metadata": metadata}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def test_smoke_through_a_port_forward_and_at_an_address(
    wordtell_deploy: Deploy, server: ApiServer, backend: ThreadingHTTPServer
) -> None:
    port = backend.server_address[1]
    server.backends["3000"] = port
    assert wordtell_deploy("apply").code == 0
    done = wordtell_deploy("smoke")
    assert done.code == 0, done.err
    assert "15 words, mean probability 0.50, tiny-int8-1 (fake, int8)" in done.out
    assert "Pod/wordtell-" in done.out
    assert "answered in" in wordtell_deploy("smoke", "--url", f"http://127.0.0.1:{port}").out
    assert "not an http" in wordtell_deploy("smoke", "--url", "ftp://x").err

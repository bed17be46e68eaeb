"""A tiny reverse proxy: what is below a path goes to a server, with the path or without it; the rest is 404.

python -m tests.http.proxy 127.0.0.1:3000 /wordtell [strip]
"""

from __future__ import annotations

import http.client
import sys
import threading
from http.server import BaseHTTPRequestHandler

from tests.http.background import Background

# A proxy has its own of these.
_OWN = {"host", "accept-encoding", "connection", "transfer-encoding", "date", "server", "content-length"}


class Proxy(Background):
    """Listens on 127.0.0.1 at `port` between entry and exit."""

    def __init__(self, target: str, below: str, strip: bool) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._pass_on()

            def do_HEAD(self) -> None:
                self._pass_on()

            def do_POST(self) -> None:
                self._pass_on()

            def log_message(self, *_: object) -> None:
                return

            def _pass_on(self) -> None:
                path = self.path
                if path != below and not path.startswith((f"{below}/", f"{below}?")):
                    self.send_error(404)
                    return
                if strip:
                    path = path.removeprefix(below)
                    path = path if path.startswith("/") else f"/{path}"
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection = http.client.HTTPConnection(target, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
                headers |= {"Host": "public.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": below}
                connection.request(self.command, path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _OWN:
                        self.send_header(name, value)
                length = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(content)
                connection.close()

        super().__init__(Handler)


if __name__ == "__main__":
    with Proxy(sys.argv[1], sys.argv[2], sys.argv[3:] == ["strip"]) as proxy:
        print(f"http://127.0.0.1:{proxy.port}{sys.argv[2]}", flush=True)
        threading.Event().wait()

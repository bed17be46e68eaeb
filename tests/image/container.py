"""A container of the image, as strict as a cluster makes it: read-only root, a random user, no capability, limits."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

USER = "4242:4242"
_STRICT = [
    *("--read-only", "--tmpfs", "/tmp", "--user", USER, "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),  # noqa: S108
    *("--memory", "1g", "--pids-limit", "200"),
]
# Runs inside the container: there is no other way in without a network.
_POST = """
import sys, urllib.request as u, urllib.error as e
request = u.Request("http://127.0.0.1:3000" + sys.argv[1], sys.stdin.buffer.read() or None)
try:
    answer = u.urlopen(request, timeout=120)
except e.HTTPError as error:
    answer = error
print(answer.status)
sys.stdout.flush()
sys.stdout.buffer.write(answer.read())
"""


def docker(*arguments: str, check: bool = True, given: bytes = b"") -> str:
    """What the command printed, on both streams."""
    done = subprocess.run(
        ["docker", *arguments], input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    printed = done.stdout.decode()
    assert done.returncode == 0 or not check, printed
    return printed


class Container:
    """Started on entry, ready when `__enter__` returns, removed on exit."""

    def __init__(self, image: str, *options: str, network: str = "none", cpus: str = "1", mount: Path | None = None):
        volume = [] if mount is None else ["--volume", f"{mount}:/mnt/models:ro"]
        self._command = [*_STRICT, "--network", network, "--cpus", cpus, *volume, *options, image]

    def __enter__(self) -> Container:
        self.name = docker("run", "--detach", *self._command).split()[-1]
        give_up = time.monotonic() + 60
        while True:
            try:
                if self.ask("/readyz")[0] == 200:
                    return self
            except AssertionError:
                pass  # nobody listens yet
            if not self.inspect()["State"]["Running"] or time.monotonic() > give_up:
                log = self.log()
                self.__exit__()
                raise RuntimeError(f"the container did not become ready:\n{log}")
            time.sleep(0.3)

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", self.name)

    def ask(self, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and body of a GET, or of a POST of this JSON, from inside the container."""
        given = b"" if body is None else json.dumps(body).encode()
        printed = docker("exec", "--interactive", self.name, "python", "-c", _POST, path, given=given)
        status, _, content = printed.partition("\n")
        return int(status), content.encode()

    def score(self, sentences: list[str]) -> dict[str, Any]:
        status, content = self.ask("/api/v1/predict/sentences", {"sentences": sentences})
        assert status == 200, content
        return dict(json.loads(content))

    def run(self, *command: str) -> str:
        return docker("exec", self.name, *command)

    def inspect(self) -> dict[str, Any]:
        return dict(json.loads(docker("inspect", self.name))[0])

    def log(self) -> str:
        return docker("logs", self.name)

"""The shell blocks of a document, and a shell in a folder like a fresh clone that runs them.

A block is fenced as `console`; a line that begins with `$ ` is a command, any other is what it prints. Behind a comment
`<!-- needs: docker -->` is a block that tests/image runs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from bento.settings import ROOT
from tests.http.server import free_port

_BLOCK = re.compile(r"(?:<!-- needs: (\w+) -->\n)?```console\n(.*?)```", re.DOTALL)
_SERVES = re.compile(r"make serve\b|wordtell serve\b|docker run\b")
_MADE = (".venv/ready", ".venv-dev/ready", "bento/native/libwordtell.so")
# Ends a command that hangs, or a server that never answers; a busy machine may take minutes.
GIVE_UP_S = 1800.0


@dataclass(frozen=True)
class Block:
    """The commands of a block, and what it needs beside the environments: "" or "docker"."""

    needs: str
    commands: tuple[str, ...]


def blocks(document: Path) -> list[Block]:
    """The shell blocks of a document, in order."""
    return [
        Block(needs, tuple(line[2:] for line in text.splitlines() if line.startswith("$ ")))
        for needs, text in _BLOCK.findall(document.read_text(encoding="utf-8"))
    ]


class Shell:
    """Runs commands in `folder`, one after another. A command that serves goes on until the next one that does."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._variables = variables
        self._server: subprocess.Popen[bytes] | None = None
        self._log = folder / "server.log"
        _clone(folder)

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is None:
            return
        os.killpg(self._server.pid, signal.SIGTERM)
        try:
            self._server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._server = None

    def run(self, command: str) -> str:
        """What the command printed on standard output. Raises AssertionError with all that it printed if it failed."""
        command = command.replace("localhost:3000", f"127.0.0.1:{self.port}").replace("3000:3000", f"{self.port}:3000")
        if _SERVES.match(command):
            self._serve(command)
            return ""
        with subprocess.Popen(
            ["bash", "-c", command],
            cwd=self._folder, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=GIVE_UP_S)
            except BaseException:  # what the shell has started ends with it
                os.killpg(process.pid, signal.SIGKILL)
                raise
        assert process.returncode == 0, f"$ {command}\n{out}{err}"
        return out

    def _serve(self, command: str) -> None:
        self.__exit__()
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._folder, env=self._environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        give_up = time.monotonic() + GIVE_UP_S
        while not self._ready():
            assert self._server.poll() is None, f"$ {command}\n{self._log.read_text()}"
            assert time.monotonic() < give_up, f"$ {command} is not ready\n{self._log.read_text()}"
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _environment(self) -> Mapping[str, str]:
        path = f"{self._folder / 'tools'}:{ROOT / '.venv-dev' / 'bin'}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PORT": str(self.port), **self._variables}


def _clone(folder: Path) -> None:
    """Links to what the repository has, so that what commands write stays in `folder`."""
    for path in ROOT.iterdir():
        if path.name not in {".git", "build", "models"}:
            (folder / path.name).symlink_to(path)
    (folder / "models").mkdir()
    for path in (ROOT / "models").iterdir():
        (folder / "models" / path.name).symlink_to(path)
    # The environments are there and not to be made anew, whatever the times of the files that they are made of.
    (folder / "tools").mkdir()
    tool, old = folder / "tools" / "make", " ".join(f"-o {name}" for name in _MADE)
    tool.write_text(f'#!/bin/sh\nexec {shutil.which("make")} {old} "$@"\n')
    tool.chmod(0o755)

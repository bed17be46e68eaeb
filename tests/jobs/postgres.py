"""A real PostgreSQL of Debian's packages, on a free port of the loopback device."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.http.server import free_port

START_S = 30.0


def programs() -> Path | None:
    """Where initdb and postgres are."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Postgres:
    """Started by `start`, which may follow on `kill`."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made, and everybody may enter those above it."""
        found = programs()
        assert found is not None, "no PostgreSQL is installed"
        self._bin = found
        self.folder = folder
        self._data = folder / "data"
        self.port = free_port()
        folder.mkdir()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "nobody")
        self._run("initdb", "-D", str(self._data), "-U", "wordtell", "--auth=trust", "-E", "UTF8", "--locale=C")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://wordtell@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """The URL of a database of its own."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def start(self) -> None:
        give_up = time.monotonic() + START_S
        while True:  # after a kill, its children may still hold its memory for a moment
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port), "-k", str(self.folder),
                     "-c", "fsync=off"],  # which concerns power cuts, not kills
                    stdout=log, stderr=log, **self._user(), start_new_session=True,
                )  # fmt: skip
            while self.process.poll() is None and time.monotonic() < give_up:
                try:
                    psycopg.connect(self.url(), connect_timeout=2).close()
                    return
                except psycopg.OperationalError:
                    time.sleep(0.1)
            if time.monotonic() > give_up:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.2)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        """To all its processes: each has a group of its own."""
        postmaster = psutil.Process(self.process.pid)
        for process in (*postmaster.children(recursive=True), postmaster):
            process.send_signal(number)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def _run(self, program: str, *options: str) -> None:
        subprocess.run([str(self._bin / program), *options], check=True, capture_output=True, **self._user())

    def _user(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {"cwd": self.folder}
        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": self.folder}

"""What the process is told before it listens."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="this system has no limits of open files")

TOLD = """
import resource
from uvicorn import config
from bento.api import connection, listening
from bento.settings import ApiSettings

soft, hard, wanted = {soft}, {hard}, {wanted}
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
listening.install(ApiSettings(max_connections=wanted))
print(connection.Connection.most, resource.getrlimit(resource.RLIMIT_NOFILE)[0], config.HTTP_PROTOCOLS["auto"])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "most", "files"),
    [
        (256, 2000, 1000, 1000, 1128),  # the soft limit is raised as far as is needed
        (2000, 2000, 1000, 1000, 2000),  # and never lowered
        (256, 600, 1000, 472, 600),  # what the system allows bounds the connections
    ],
)
def test_open_files_are_allowed_for_the_connections(soft: int, hard: int, wanted: int, most: int, files: int) -> None:
    program = TOLD.format(soft=soft, hard=hard, wanted=wanted)
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert said == [str(most), str(files), "bento.api.connection:Connection"]

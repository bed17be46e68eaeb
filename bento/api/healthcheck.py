"""What the image's HEALTHCHECK runs: exits with 0 when a request would be answered now, else with 1.

Run as a file by an interpreter that has nothing but its standard library: it is started every few seconds.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from urllib.request import urlopen

_FILE = Path(tempfile.gettempdir()) / "wordtell.port"
_DEFAULT_PORT = 3000


def remember(port: int) -> None:
    """Write the port for the health check of this container. Outside a container nothing reads it."""
    if os.environ.get("BENTOML_CONTAINERIZED"):
        with contextlib.suppress(OSError):  # /tmp is not writable: the default port is used
            _FILE.write_text(str(port))


def main() -> None:
    """Raises OSError when the server does not answer, or not with 200."""
    port = int(_FILE.read_text()) if _FILE.exists() else _DEFAULT_PORT
    urlopen(f"http://localhost:{port}/readyz", timeout=4)


if __name__ == "__main__":
    main()

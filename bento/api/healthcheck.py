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
    """Tell the health check of this container where the server listens; outside a container nobody asks."""
    if os.environ.get("BENTOML_CONTAINERIZED"):
        with contextlib.suppress(OSError):  # /tmp cannot be written to: then the default port has to do
            _FILE.write_text(str(port))


def main() -> None:
    """Raises OSError when the server does not answer, or not with 200."""
    port = int(_FILE.read_text()) if _FILE.exists() else _DEFAULT_PORT
    urlopen(f"http://localhost:{port}/readyz", timeout=4)


if __name__ == "__main__":
    main()

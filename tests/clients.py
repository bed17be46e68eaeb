"""Scripts in the environment of KServe's and Triton's clients, which the others do not share."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from bento.settings import ROOT

PYTHON = ROOT / ".venv-kserve" / "bin" / "python"


def run(script: str, *arguments: str, given: object) -> Any:
    """What a script prints as JSON, given something as JSON on its standard input."""
    assert PYTHON.exists(), "there is no environment for the clients: run the tests with `make test`, which makes it"
    done = subprocess.run(
        [PYTHON, script, *arguments],
        cwd=ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

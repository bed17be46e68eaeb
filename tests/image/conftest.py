"""The image under test."""

from __future__ import annotations

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """Its name; skips where no Docker engine answers."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker engine answers `docker info`")
    return str(request.config.getoption("--image"))

"""Servers that many tests share."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bento.artifact import ModelFolder
from tests.http.server import Server


@pytest.fixture(scope="session")
def server(fake_folder: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The fake model: answers that can be known, quickly."""
    folder = tmp_path_factory.mktemp("server")
    settings = {
        "WORDTELL_MODEL__CHECKPOINT_DIR": str(fake_folder.path),
        "WORDTELL_MODEL__WINDOW_OVERLAP": "16",
        "WORDTELL_JOBS__FOLDER": str(folder / "jobs"),
        "WORDTELL_JOBS__MAX_JOBS": "100000",
    }
    with Server(folder / "log", settings) as server:
        yield server
        assert not re.findall(r".*(?:Warning|Traceback).*", server.log.read_text())


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model that the project ships. No cache: the tests ask what the model says, not what it has said."""
    with Server(tmp_path_factory.mktemp("embedded") / "log", {"WORDTELL_API__CACHE_MB": "0"}) as server:
        yield server
        assert not re.findall(r".*(?:Warning|Traceback).*", server.log.read_text())

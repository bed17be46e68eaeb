"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from bento.artifact import ModelFolder
from tests import fakes

# A shared machine may stall for a second: a slow example is not a failed one.
settings.register_profile("wordtell", deadline=None, derandomize=True)
settings.load_profile("wordtell")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes too")
    parser.addoption("--image", help="test this container image (make image-test)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [name for name in ("slow", "image") if not config.getoption(f"--{name}")]
    deselected = [item for item in items if any(map(item.get_closest_marker, left_out))]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


@pytest.fixture(autouse=True)
def _no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WORDTELL_") or name == "OMP_NUM_THREADS":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def fake_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A whole model folder whose answers are known; never written to."""
    return fakes.write_folder(tmp_path_factory.mktemp("models") / "fake")

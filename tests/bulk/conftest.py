from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bento.detector import Detector
from bento.settings import ModelSettings, Settings
from tests.bulk import files


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.model(tmp_path_factory.mktemp("model") / "fake")


@pytest.fixture(scope="session")
def detector(model: Path) -> Iterator[Detector]:
    made = Detector.load(Settings(model=ModelSettings(checkpoint_dir=model)))
    yield made
    made.close()

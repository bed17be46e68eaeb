"""A teacher that knows the task, and one that knows nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.train.distill import task


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Models this small lose more by waiting for a second thread than it gives."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ignorant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained."""
    return task.checkpoint(tmp_path_factory.mktemp("teacher") / "ignorant")

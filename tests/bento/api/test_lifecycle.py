"""From a process that has just started to one that answers, and back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bento.api.lifecycle import Lifecycle
from bento.artifact import ModelFolder
from bento.errors import ModelNotReady
from bento.settings import ModelSettings, Settings


def lifecycle(folder: Path, overlap: int = 16) -> Lifecycle:
    return Lifecycle(Settings(model=ModelSettings(checkpoint_dir=folder, window_overlap=overlap)))


def status(lifecycle: Lifecycle) -> str:
    """What a client would be told now."""
    try:
        return lifecycle.detector.version
    except ModelNotReady as error:
        return error.message


def settled(lifecycle: Lifecycle) -> str:
    """The same, once it is no longer loading."""
    lifecycle.start()
    give_up = time.monotonic() + 30
    while "still loading" in status(lifecycle):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return status(lifecycle)


def test_before_during_and_after(fake_folder: ModelFolder) -> None:
    server = lifecycle(fake_folder.path)
    assert "still loading" in status(server)
    assert settled(server).startswith("fake-fp32-")
    server.stop()
    assert "shutting down" in status(server)


def test_a_fault_that_is_told_often_does_not_grow(tmp_path: Path) -> None:
    server = lifecycle(tmp_path / "none")
    depths = []
    for _ in range(3):
        with pytest.raises(ModelNotReady) as refused:
            _ = server.detector
        depths.append(len(refused.traceback))
    assert len(set(depths)) == 1


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    assert "none: no such model folder" in settled(lifecycle(tmp_path / "none"))


def test_a_setting_that_does_not_fit_the_model_is_named(fake_folder: ModelFolder) -> None:
    assert "model.window_overlap is 64" in settled(lifecycle(fake_folder.path, overlap=64))

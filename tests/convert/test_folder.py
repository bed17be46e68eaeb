"""There is a whole folder or none, whatever happens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bento.artifact import MANIFEST, MODEL
from convert import folder
from convert.errors import WriteError


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def fill(path: Path, text: str) -> None:
    (path / MANIFEST).write_text(text)
    (path / MODEL).touch()


def test_the_new_folder_appears_at_the_end_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model"
    with folder.replacing(out) as new:
        fill(new, "1")
        assert not out.exists()
    assert names(out) == [MANIFEST, MODEL]
    assert names(out.parent) == ["model"]
    assert out.stat().st_mode & 0o777 == out.parent.stat().st_mode & 0o777


def test_the_old_folder_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "model"
    for text in ("1", "2"):
        with folder.replacing(out) as new:
            fill(new, text)
            assert text == "1" or (out / MANIFEST).read_text() == "1"
    assert (out / MANIFEST).read_text() == "2"
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "model"
    with folder.replacing(out) as new:
        fill(new, "1")
    for place in (out, tmp_path / "another" / "place"):
        with pytest.raises(error), folder.replacing(place) as new:  # noqa: PT012  # the block is what is tested
            fill(new, "2")
            raise error
    assert (out / MANIFEST).read_text() == "1"
    assert names(tmp_path) == ["model"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    out = tmp_path / "model"
    with folder.replacing(out) as new:
        fill(new, "1")
    with pytest.raises(WriteError), folder.replacing(out) as new:
        new.rmdir()
    assert (out / MANIFEST).read_text() == "1"
    assert names(tmp_path) == ["model"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with folder.replacing(tmp_path / "link") as new:
        fill(new, "1")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == [MANIFEST, MODEL]


def test_what_is_not_a_model_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / MANIFEST).touch()  # others have manifests too
    (tmp_path / "file").touch()
    for out in (tmp_path / "thesis", tmp_path / "file"):
        with pytest.raises(WriteError, match="no model folder"), folder.replacing(out):
            raise AssertionError("the block must not run")
    assert names(tmp_path / "thesis") == [MANIFEST]


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    named = pytest.raises(WriteError, match=r"model: cannot be written \(File exists\)")
    with named, folder.replacing(tmp_path / "file" / "model"):
        raise AssertionError("the block must not run")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_named_whoever_finds_it(tmp_path: Path) -> None:
    def by_number() -> None:
        Path("/dev/full").write_bytes(b"weights")

    def without_a_number() -> None:  # as onnx_ir writes big weights
        with Path("/dev/full").open("wb") as full:
            np.zeros(1 << 16).tofile(full)

    for write in (by_number, without_a_number):
        with pytest.raises(WriteError, match="model: cannot be written"), folder.replacing(tmp_path / "model"):
            write()
    assert names(tmp_path) == []

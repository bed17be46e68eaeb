"""The files of a checkpoint: whether each is what its name says, and which have the weights. Errors name the cause."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from bento.checkpoint import names
from bento.checkpoint.errors import CheckpointError

_POINTER = b"version https://git-lfs.github.com/spec/"
_AGAIN = "download or copy it again"
# A header of safetensors is never longer.
_HEADER_BYTES = 100_000_000


def genuine(path: Path) -> Path:
    """The path itself, whether the file is there or not. Raises CheckpointError when something else is in its place."""
    if path.is_symlink() and not path.exists():
        remedy = "copy the files that the links of the folder point to (cp -rL)"
        raise CheckpointError(path, "is a link to a file that is not there", remedy)
    if not path.is_file():
        return path
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(_POINTER):
        remedy = "run `git lfs pull` in its repository, or download the file itself"
        raise CheckpointError(path, "is a Git LFS pointer, not the file that it stands for", remedy)
    if not start:
        raise CheckpointError(path, "is empty (0 bytes)", _AGAIN)
    if start.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        raise CheckpointError(path, "is a web page, not the file of this name", _AGAIN)
    return path


def weights(folder: Path) -> list[Path]:
    """The files of weights, each complete. Raises CheckpointError, naming the file."""
    for path in (folder / name for name in names.WEIGHTS):
        if path.is_symlink() or path.is_file():  # a link to nothing counts, and is named
            found = _shards(folder, genuine(path)) if path.suffix == ".json" else [path]
            for each in found:
                whole(each)
            return found
    raise _none(folder)


def whole(path: Path) -> None:
    """Raises CheckpointError when something else than weights stands in this file's place, or it is cut off."""
    if genuine(path).suffix == ".safetensors":
        _whole_safetensors(path)
    elif _starts(path) == b"PK" and not zipfile.is_zipfile(path):
        raise CheckpointError(path, f"its weights cannot be loaded: it is cut off ({_size(path)})", _AGAIN)


def _shards(folder: Path, index: Path) -> list[Path]:
    """Say which file of weights is missing, which no library does by name."""
    try:
        shards = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        paths = [folder / name for name in shards]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(index, "is no list of weights", "save the checkpoint again") from None
    if lost := [path.name for path in paths if not genuine(path).is_file()]:
        fault = f"lacks {len(lost)} of its {len(shards)} files of weights: {', '.join(lost[:3])}"
        raise CheckpointError(folder, fault, f"copy the folder again, all files that {index.name} names")
    return paths


def _whole_safetensors(path: Path) -> None:
    """See https://github.com/huggingface/safetensors#format: its length, a header in JSON, the numbers."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start = file.read(1)
        if length > _HEADER_BYTES or start not in (b"{", b""):
            fault = "its weights cannot be loaded: it is no file of safetensors"
            raise CheckpointError(path, fault, f"{_AGAIN}, or save the checkpoint again")
        header = start + file.read(length - 1) if 8 + length <= size else b""
    try:
        entries = [entry for name, entry in json.loads(header).items() if name != "__metadata__"] if header else []
        wanted = 8 + length + max((entry["data_offsets"][1] for entry in entries), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise CheckpointError(path, "its weights cannot be loaded: its header is damaged", _AGAIN) from None
    if size < wanted:
        fault = f"its weights cannot be loaded: it is cut off ({_size(path)} of {wanted:,})"
        raise CheckpointError(path, fault, _AGAIN)


def _starts(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2)


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes"


def _none(folder: Path) -> CheckpointError:
    """No weights under the names that are read: what is there in their place, and what to do with it."""
    for pattern, (kind, remedy) in names.FOREIGN_WEIGHTS.items():
        found = sorted(path.name for path in folder.glob(pattern) if not names.TRAINING_STATE.match(path.name))
        if found:
            return CheckpointError(folder, f"its only weights are {', '.join(found[:3])}, {kind}", remedy)
    return CheckpointError(folder, f"has none of {', '.join(names.WEIGHTS)}", "copy the folder again, weights included")

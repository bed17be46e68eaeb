"""Finds model folders: a folder with a manifest is one."""

from __future__ import annotations

from pathlib import Path

from bento.errors import ConfigError

MANIFEST = "manifest.json"
CONFIGS = ("config.json", "adapter_config.json")


def is_model(folder: Path) -> bool:
    """Does it have a manifest? An unreadable one counts, because loading it then reports the error."""
    try:
        (folder / MANIFEST).stat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False
    return True


def is_checkpoint(folder: Path) -> bool:
    """Does it have an unconverted Hugging Face checkpoint (or adapter), and no manifest?"""
    return not is_model(folder) and any((folder / name).is_file() for name in CONFIGS)


def models_in(folder: Path) -> list[Path]:
    """The model folders directly inside a folder, in order. Hidden ones are ignored: they may be incomplete copies."""
    return [path for path in _visible(folder) if is_model(path)]


def mounted(mount: Path) -> Path | None:
    """The model folder at a mount, or the only one a level below it; None if nothing is mounted.

    Raises ConfigError, naming what was found, when there are several, or something else.
    """
    if (
        is_model(mount) or is_checkpoint(mount) or (mount.exists() and not mount.is_dir())
    ):  # a file: to load it says what is wrong
        return mount
    found = models_in(mount)
    if len(found) == 1:
        return found[0]
    if found:
        fault = f"{mount} holds {len(found)} model folders, {_names(found)}"
    elif there := _visible(mount):
        fault = f"{mount} holds {_names(there)}, but no {MANIFEST}, nor has a folder in it one"
    else:
        return None
    raise ConfigError(
        f"{fault}: mount one model folder there, or set WORDTELL_MODEL__CHECKPOINT_DIR to the one to serve",
        "model.checkpoint_dir",
    )


def _visible(folder: Path) -> list[Path]:
    # A fresh ext4 volume has a lost+found.
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "lost+found")
    except (OSError, ValueError):
        return []


def _names(paths: list[Path], most: int = 5) -> str:
    names = [path.name for path in paths]
    return ", ".join(names[:most] + ([f"and {len(names) - most} more"] if len(names) > most else []))

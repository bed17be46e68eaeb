"""Writes a model folder, complete or not at all: in a hidden sibling first, then by two renames."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx_ir as ir

from bento import artifact
from bento.artifact import MANIFEST, MODEL, TOKENIZER, FileRecord, Manifest
from bento.checkpoint.names import CARD
from bento.errors import WordtellError
from convert import export
from convert.errors import WriteError
from convert.source import Source

# What decides the bytes and the numbers.
SOFTWARE = ("torch", "transformers", "tokenizers", "onnx", "onnx-ir", "onnxruntime")


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` that replaces it when the block succeeds, and is deleted when it fails.

    A model folder at `out` stays until then. Anything else there is not replaced. Raises WriteError.
    """
    out = out.resolve()
    if out.exists() and not _is_replaceable(out):
        raise WriteError(out, "something is there that is no model folder")
    scratch: Path | None = None
    parents = [parent for parent in out.parents if not parent.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        inside = scratch / "new"
        inside.mkdir()  # with the usual permissions: mkdtemp's own folder is closed to everybody else
        yield inside
        _swap(out, inside, aside=scratch / "old")
    except OSError as error:
        if isinstance(error, WordtellError):  # says more
            raise
        # numpy's, for a disk that is full, has no number.
        raise WriteError(out, os.strerror(error.errno) if error.errno else str(error)) from None
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        for parent in parents:
            with suppress(OSError):  # not empty: the new folder is in it
                parent.rmdir()


def write(
    folder: Path,
    models: Mapping[str, ir.Model],
    checkpoint: Source,
    draft: Manifest,
    single_file_bytes: int = export.SINGLE_FILE_BYTES,
) -> Manifest:
    """Fill an empty folder. The manifest is written last, because a folder without it cannot be loaded. Raises OSError.

    models: graphs by file name.
    """
    export.save(models, folder, single_file_bytes)
    (folder / TOKENIZER).write_text(checkpoint.tokenizer, encoding="utf-8")
    versions = {"python": platform.python_version()}
    for package in SOFTWARE:
        with suppress(PackageNotFoundError):  # random weights need no torch
            versions[package] = version(package)
    files = {path.name: FileRecord.of(path) for path in sorted(folder.iterdir())}
    manifest = replace(draft, files=files, source=dict(checkpoint.origin), versions=versions)
    (folder / CARD).write_text(checkpoint.card or _card(manifest), encoding="utf-8")
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def keep(folder: Path, variant: str, figures: dict[str, float]) -> Manifest:
    """Of the variants below an unfinished folder, make one the folder itself, its manifest with these figures."""
    manifest = replace(artifact.load(folder / variant).manifest, figures=figures)
    for entry in (folder / variant).iterdir():
        entry.rename(folder / entry.name)
    for entry in list(folder.iterdir()):
        if entry.is_dir():
            shutil.rmtree(entry)
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _is_replaceable(out: Path) -> bool:
    return out.is_dir() and (not any(out.iterdir()) or {MANIFEST, MODEL} <= {path.name for path in out.iterdir()})


def _swap(out: Path, new: Path, aside: Path) -> None:
    try:
        if out.exists():
            out.rename(aside)
        new.rename(out)
    except BaseException:  # an interruption between the two renames too
        if aside.exists() and not out.exists():
            aside.rename(out)
        raise


def _names(manifest: Manifest) -> str:
    labels = " and ".join(f"`{label}`" for label in manifest.positive_labels)
    return f"{labels} {'mean' if len(manifest.positive_labels) > 1 else 'means'}"


def _card(manifest: Manifest) -> str:
    """The card of a model whose checkpoint has none."""
    return (
        f"# {manifest.name}\n\n"
        f"A {manifest.architecture} token classifier in {manifest.precision.upper()}, converted from the checkpoint "
        f"`{manifest.source['checkpoint']}`, which came without a model card.\n\n"
        f"Labels: {', '.join(manifest.labels)}. {_names(manifest)} that a machine wrote the word.\n"
        "What it was trained on and how often it errs is not known here: ask its makers before you rely on it.\n"
    )

"""A model folder that somebody signed, and what a server does with one that nobody did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from bento import signing
from bento.artifact import ModelFolder
from bento.cli.app import app
from bento.detector import Detector
from bento.errors import ArtifactError, ConfigError
from bento.settings import ModelSettings, Settings


def keys(folder: Path) -> tuple[Path, Path]:
    """A private key and its public one, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "private.pem", folder / "public.pem"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def signed(tmp_path: Path, fake_folder: ModelFolder) -> tuple[Path, Path]:
    """A signed folder, and the public key."""
    folder = tmp_path / "model"
    shutil.copytree(fake_folder.path, folder)
    private, public = keys(tmp_path)
    done = CliRunner().invoke(app, ["sign", str(folder), "--key", str(private)])
    assert done.exit_code == 0, done.output
    return folder, public


def serve(folder: Path, key: Path) -> None:
    model = ModelSettings(checkpoint_dir=folder, require_signature=key, window_overlap=16)
    Detector.load(Settings(model=model)).close()


def test_a_signed_folder_is_served(signed: tuple[Path, Path]) -> None:
    serve(*signed)


def test_a_copy_under_another_name_is_served(signed: tuple[Path, Path], tmp_path: Path) -> None:
    folder, public = signed
    serve(shutil.copytree(folder, tmp_path / "mounted"), public)


def test_a_changed_file_is_named(signed: tuple[Path, Path]) -> None:
    folder, public = signed
    with (folder / "tokenizer.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ArtifactError, match=r"changed since: tokenizer\.json\)"):
        serve(folder, public)


def test_a_file_that_nobody_signed_is_named(signed: tuple[Path, Path]) -> None:
    folder, public = signed
    (folder / "more.onnx").touch()
    with pytest.raises(ArtifactError, match=r"more\.onnx"):
        serve(folder, public)


def test_a_missing_file_is_named(signed: tuple[Path, Path]) -> None:
    folder, public = signed
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        serve(folder, public)


def test_a_folder_that_nobody_signed(tmp_path: Path, fake_folder: ModelFolder) -> None:
    _, public = keys(tmp_path)
    with pytest.raises(ArtifactError, match=r"model\.sig: no such file, and model\.require_signature wants one"):
        serve(fake_folder.path, public)


@pytest.mark.parametrize("content", ["", "{}", "no JSON", '{"verificationMaterial": 3}'])
def test_a_signature_that_is_none(signed: tuple[Path, Path], content: str) -> None:
    folder, public = signed
    (folder / signing.SIGNATURE).write_text(content)
    with pytest.raises(ArtifactError, match=r"is not what .* signed") as refused:
        serve(folder, public)
    assert "\n" not in refused.value.message


def test_the_signature_of_somebody_else(signed: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _, public = keys(other)
    with pytest.raises(ArtifactError, match=r"is not what .*other/public.pem signed"):
        serve(signed[0], public)


@pytest.mark.parametrize("content", [None, "", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_a_key_that_is_none(signed: tuple[Path, Path], tmp_path: Path, content: str | None) -> None:
    key = tmp_path / "none.pem"
    if content is not None:
        key.write_text(content)
    with pytest.raises(ConfigError, match=r"none\.pem: not the public key of an elliptic curve"):
        serve(signed[0], key)
    with pytest.raises(ConfigError, match=r"none\.pem: not the private key of an elliptic curve"):
        signing.sign(signed[0], key)


def test_a_damaged_folder_is_not_signed(signed: tuple[Path, Path]) -> None:
    folder, public = signed
    (folder / "tokenizer.json").write_text("{}")
    done = CliRunner().invoke(app, ["sign", str(folder), "--key", str(public.with_name("private.pem"))])
    assert isinstance(done.exception, ArtifactError)

"""Signed model folders, by OpenSSF Model Signing: one signature over the SHA-256 of every file in the folder.

    openssl ecparam -name prime256v1 -genkey -noout -out private.pem
    openssl ec -in private.pem -pubout -out public.pem
    wordtell sign models/large --key private.pem

What `wordtell sign` writes is a Sigstore bundle; the `model_signing` command of that project verifies it as well.
Source: https://github.com/ossf/model-signing-spec
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bento.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from model_signing import hashing

SIGNATURE = "model.sig"
_SIGN_AGAIN = f"copy the folder and its {SIGNATURE} again, or sign it with `wordtell sign`"


def sign(folder: Path, private_key: Path) -> Path:
    """Write the signature into the folder, and return its path. Raises ArtifactError and ConfigError.

    private_key: a PEM file with a key on an elliptic curve, without a password.
    """
    from model_signing import signing  # noqa: PLC0415 - takes 0.3 s, and most never need it

    signature = folder / SIGNATURE
    config = signing.Config().set_hashing_config(_hashing())
    try:
        config.use_elliptic_key_signer(private_key=private_key)
    except Exception as error:  # cryptography's, and OSError
        raise _bad_key("private", private_key, error) from None
    try:
        config.sign(folder, signature)
    except (OSError, ValueError) as error:
        raise ArtifactError(folder, f"cannot be signed ({_line(error)})", "check its permissions") from None
    return signature


def verify(folder: Path, public_key: Path) -> None:
    """Compare every file of the folder with its signature.

    Raises ArtifactError when the signature is missing, is not by this key, or a file differs from, lacks in or is
    absent from what was signed, naming the files; ConfigError when the key cannot be read.
    """
    from model_signing import verifying  # noqa: PLC0415 - as above

    signature = folder / SIGNATURE
    if not signature.is_file():
        raise ArtifactError(signature, "no such file, and model.require_signature wants one", _SIGN_AGAIN)
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except Exception as error:  # cryptography's, and OSError
        raise _bad_key("public", public_key, error) from None
    try:
        config.verify(folder, signature)
    except Exception as error:  # the library's own and those of three others below it
        differ = re.findall(r"Hash mismatch for \\?'([^'\\]+)", str(error))
        fault = f"changed since: {', '.join(differ)}" if differ else _line(error)
        raise ArtifactError(folder, f"is not what {public_key} signed ({fault})", _SIGN_AGAIN) from None


def _hashing() -> hashing.Config:
    from model_signing import hashing  # noqa: PLC0415

    config = hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
    return config.set_allow_symlinks(True)  # what they point to is hashed


def _bad_key(kind: str, path: Path, error: Exception) -> ConfigError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else _line(error)
    return ConfigError(
        f"{path}: not the {kind} key of an elliptic curve in PEM ({why}); `openssl ecparam -name prime256v1 -genkey"
        " -noout` makes a private one, `openssl ec -pubout` its public one",
        "model.require_signature" if kind == "public" else None,
    )


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]

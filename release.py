"""Cut a release: one version in the code, the changelog, the chart, what is made of the chart, and the documents.

    python release.py 0.2.0            # what `make release VERSION=0.2.0` runs first
    python release.py --check dist     # is everything of one version, the built files in dist among them?

The version stands in bento/__init__.py. Everything else follows it: the wheel and the image by being built, the chart
and the documents by `make chart` (deploy/chart/generate.py), which this runs.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PACKAGE = Path("bento/__init__.py")
CHANGELOG = Path("CHANGELOG.md")
CHART = Path("deploy/chart/wordtell/Chart.yaml")

_VERSION = re.compile(r'(?m)^__version__ = "(.*)"$')
_NUMBERS = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# The section that is being written: "## Unreleased", or with the number that it was thought to get.
_UNRELEASED = re.compile(r"(?im)^## (?:\d+\.\d+\.\d+ \()?unreleased\)?$")
_SECTION = re.compile(r"(?m)^## ")


class ReleaseError(Exception):
    """The release cannot be cut; nothing was written. The message says what to do."""


def current(root: Path) -> str:
    """The version that the code has."""
    found = _VERSION.search((root / PACKAGE).read_text(encoding="utf-8"))
    if found is None:
        raise ReleaseError(f'{PACKAGE} has no line like __version__ = "0.1.0"')
    return found[1]


def cut(root: Path, version: str, today: datetime.date) -> dict[Path, str]:
    """The files that change, with what they will hold. Raises ReleaseError."""
    if not _NUMBERS.fullmatch(version):
        raise ReleaseError(f"VERSION has to be three numbers like 0.2.0, not {version!r}")
    if _numbers(version) <= _numbers(before := current(root)):
        raise ReleaseError(f"VERSION {version} is not above {before}, which {PACKAGE} has: name a higher one")
    package = _VERSION.sub(f'__version__ = "{version}"', (root / PACKAGE).read_text(encoding="utf-8"))
    return {PACKAGE: package, CHANGELOG: changelog((root / CHANGELOG).read_text(encoding="utf-8"), version, today)}


def changelog(text: str, version: str, today: datetime.date) -> str:
    """With its unreleased section as that of the version. Raises ReleaseError where there is nothing to tell."""
    if re.search(rf"(?m)^## {re.escape(version)} \(\d", text):
        raise ReleaseError(f"{CHANGELOG} has a section of {version} already: name a higher VERSION")
    found = _UNRELEASED.search(text)
    if found is None:
        raise ReleaseError(f'{CHANGELOG} has no section "## Unreleased": write there what users will notice')
    inside = _SECTION.split(text[found.end() :])[0]
    if not re.search(r"(?m)^- ", inside):
        raise ReleaseError(f"{CHANGELOG}: its section of what is unreleased is empty: write what users will notice")
    return f"{text[: found.start()]}## {version} ({today.isoformat()}){text[found.end() :]}"


def faults(root: Path, dist: Path | None = None) -> list[str]:
    """What is not of the code's version: the chart, the changelog, and the files that were built into `dist`."""
    version = current(root)
    found = []
    chart = (root / CHART).read_text(encoding="utf-8")
    for key in ("version", "appVersion"):
        value = re.search(rf"(?m)^{key}: *(.*)$", chart)
        if value is None or value[1].strip("\"'") != version:
            found.append(f"{CHART}: {key} is not {version}: run `make chart`")
    text = (root / CHANGELOG).read_text(encoding="utf-8")
    if not re.search(rf"(?m)^## {re.escape(version)} \(", text):
        found.append(f"{CHANGELOG} has no section of {version}")
    if dist is not None:
        names = (f"wordtell-{version}{end}" for end in (".tar.gz", "-*.whl", ".tgz"))
        found += [f"{dist} has no {name}: run `make dist`" for name in names if not list(dist.glob(name))]
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _expect_clean() -> None:
    """A release is what is committed. Raises ReleaseError."""
    done = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        raise ReleaseError("this is no clone: cut a release in one, where what is in it is committed")
    if done.stdout.strip():
        changed = ", ".join(line[3:] for line in done.stdout.splitlines()[:5])
        raise ReleaseError(f"there are changes that are not committed ({changed}): commit them first")


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", help="the version to cut, like 0.2.0")
    parser.add_argument(
        "--check", type=Path, metavar="DIST", help="compare what there is, and what was built into DIST"
    )
    options = parser.parse_args()
    try:
        if options.version:
            _expect_clean()
            for path, text in cut(ROOT, options.version, datetime.datetime.now(datetime.timezone.utc).date()).items():
                (ROOT / path).write_text(text, encoding="utf-8")
            subprocess.run([sys.executable, "deploy/chart/generate.py"], cwd=ROOT, check=True)
        if problems := faults(ROOT, options.check):
            raise ReleaseError("; ".join(problems))
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"everything is {current(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One command, one version everywhere."""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import release
from bento.settings import ROOT

TODAY = datetime.date(2026, 12, 1)
CHANGES = "# Changelog\n\n## Unreleased\n\n- One thing.\n\n## 0.1.0 (2026-11-01)\n\n- First.\n"
PARTS = ("bento", "deploy", "docs", "examples", "tests/golden", "README.md", "CHANGELOG.md", "release.py")


def test_everything_is_of_one_version_now() -> None:
    assert release.faults(ROOT) == []


def test_the_changelog_is_cut() -> None:
    cut = release.changelog(CHANGES, "0.2.0", TODAY)
    assert cut == CHANGES.replace("## Unreleased", "## 0.2.0 (2026-12-01)")
    with pytest.raises(release.ReleaseError, match='no section "## Unreleased"'):
        release.changelog(cut, "0.3.0", TODAY)
    assert "## 0.2.0 (2026-12-01)" in release.changelog("## 0.1.0 (unreleased)\n\n- a\n", "0.2.0", TODAY)


@pytest.mark.parametrize(
    ("text", "version", "says"),
    [
        (CHANGES.replace("- One thing.\n", ""), "0.2.0", "its section of what is unreleased is empty"),
        (CHANGES, "0.1.0", "has a section of 0.1.0 already"),
        ("# Changelog\n", "0.2.0", "no section"),
    ],
)
def test_a_changelog_that_cannot_be_cut(text: str, version: str, says: str) -> None:
    with pytest.raises(release.ReleaseError, match=says):
        release.changelog(text, version, TODAY)


@pytest.mark.parametrize("version", ["0.2", "v0.2.0", "0.2.0rc1", "", "0.0.1", release.current(ROOT)])
def test_a_version_that_is_none_or_not_above_the_last(version: str) -> None:
    with pytest.raises(release.ReleaseError, match="VERSION"):
        release.cut(ROOT, version, TODAY)


def test_the_command_changes_every_place_and_nothing_that_is_not_committed(tmp_path: Path) -> None:
    for part in PARTS:
        source, target = ROOT / part, tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        called = [sys.executable, "release.py", *arguments]
        return subprocess.run(called, cwd=tmp_path, capture_output=True, text=True, check=False)

    changes = tmp_path / "CHANGELOG.md"
    changes.write_text(
        changes.read_text().replace("# Changelog\n", "# Changelog\n\n## Unreleased\n\n- One thing.\n", 1)
    )
    refused = command("9.8.7")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "release: this is no clone: cut a release in one, where what is in it is committed\n"
    git("init", "-q")
    git("add", "-A")
    assert "not committed" in command("9.8.7").stderr
    git("commit", "-qm", "before")
    done = command("9.8.7")
    assert (done.returncode, done.stdout) == (0, "everything is 9.8.7\n"), done.stderr
    assert release.faults(tmp_path) == []
    chart = yaml.safe_load((tmp_path / release.CHART).read_text())
    assert chart["version"] == chart["appVersion"] == "9.8.7"
    for path in ("README.md", "examples/rayjob.yaml", "deploy/kserve/standard.yaml", "tests/golden/chart/default.yaml"):
        assert set(re.findall(r"\bwordtell(?:-ray)?:(\d+\.\d+\.\d+)", (tmp_path / path).read_text())) == {"9.8.7"}, path
    (tmp_path / release.CHART).write_text("version: 9.8.6\nappVersion: 9.8.7\n")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "wordtell-9.8.7.tgz").touch()
    assert release.faults(tmp_path, Path("dist")) != []
    told = "; ".join(release.faults(tmp_path, tmp_path / "dist"))
    assert "version is not 9.8.7: run `make chart`" in told
    assert "wordtell-9.8.7.tar.gz" in told
    assert "wordtell-9.8.7.tgz" not in told

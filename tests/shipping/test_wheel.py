"""A wheel in an empty environment is the whole service, wherever one stands."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bento import __version__
from bento.settings import ROOT
from tests.http.server import Server
from tests.shipping.shipped import build


def wheel(machine: str) -> Path:
    tag = f"py3-none-manylinux_{build.GLIBC.replace('.', '_')}_{machine}"
    path = ROOT / "dist" / f"wordtell-{__version__}-{tag}.whl"
    newest = max(source.stat().st_mtime for source in (ROOT / "bento").rglob("*.py"))
    if not path.exists() or path.stat().st_mtime < newest:
        pytest.skip("wheels are built by `make wheel`")
    return path


@pytest.mark.parametrize("machine", build.TARGETS)
def test_the_tag_is_what_auditwheel_allows(machine: str) -> None:
    """auditwheel reads the library's symbols, and names the oldest system that has them."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel(machine))]
    said = " ".join(subprocess.check_output(command, text=True).split())
    found = re.search(rf'following platform tag: "manylinux_(\d+)_(\d+)_{machine}"', said)
    assert found, said
    assert tuple(map(int, found.groups())) <= tuple(map(int, build.GLIBC.split(".")))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment that has the wheel, what it asks for at the versions of the lock, and nothing else."""
    path = wheel(platform.machine())
    folder = tmp_path_factory.mktemp("installed")
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[^#\s][^\\\n]*==[^\\\n]*", lock, re.MULTILINE)  # without hashes: the wheel has none
    (folder / "constraints.txt").write_text("\n".join(pins))
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    command = [
        folder / "env" / "bin" / "pip",
        "install",
        "--quiet",
        "--no-compile",
        "-c",
        folder / "constraints.txt",
        path,
    ]
    subprocess.run(command, check=True, cwd=folder)
    return folder / "env" / "bin"


def test_it_serves_from_another_folder(programs: Path, tmp_path: Path) -> None:
    program = (str(programs / "wordtell"), "serve")
    with Server(tmp_path / "log", {"PYTHONPATH": ""}, program=program) as server:
        answer = server.client.post("/api/v1/predict/sentences", json={"sentences": ["We meet at a crossroads."]})
        assert answer.status_code == 200
        assert len(answer.json()["probabilities"][0]) == 5
        assert server.client.get("/").text.startswith("<!doctype html>")
        log = server.log.read_text()
    assert f"from {programs.parent}/lib/" in log
    assert "/bento/home/models/wordtell-small with " in log
    assert "the fused graph is the " in log  # faster or slower: the operators were loaded

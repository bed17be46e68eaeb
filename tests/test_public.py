"""What a public host reads is well formed, and runs what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bento.settings import ROOT

PUBLIC = ROOT / ".github"
FORMS = sorted(path for path in (PUBLIC / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def workflow() -> dict[str, Any]:
    return dict(yaml.safe_load((PUBLIC / "workflows" / "ci.yml").read_text()))


def test_the_workflow_runs_targets_and_scripts_that_there_are() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [step["run"] for job in workflow()["jobs"].values() for step in job["steps"] if "run" in step]
    for command in commands:
        program, *words = command.split()
        if program == "make":
            assert set(words) <= targets
        elif program == "bash":
            assert (ROOT / words[0]).is_file()
    # What must pass before a change lands is what .ci/run says.
    run = (ROOT / ".ci" / "run").read_text()
    for word in ("check", "test", "image", "image-test"):
        assert re.search(rf"\bmake\b.* {word}\b", run)
        assert any(word in command.split() for command in commands)


def test_every_python_that_the_package_allows_is_tested() -> None:
    matrix = workflow()["jobs"]["test"]["strategy"]["matrix"]
    least = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text())
    assert least is not None
    assert matrix["python"][0] == least[1]
    assert [version.split(".")[1] for version in matrix["python"]] == ["10", "11", "12", "13"]
    assert {entry["processor"] for entry in matrix["include"]} == set(matrix["processor"]) == {"amd64", "arm64"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_asks_for_what_is_needed(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    identifiers = [part["id"] for part in form["body"]]
    assert len(set(identifiers)) == len(identifiers)
    assert all(part["attributes"]["label"] and part["validations"]["required"] for part in form["body"])

"""The documents tell the truth about names: targets, settings, commands, error codes, metrics, files."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import convert.cli
from bento import errors, metrics, settings
from bento.api import statuses
from bento.cli import app as cli
from bento.jobs import errors as _of_jobs  # noqa: F401 - so that they are known
from bento.settings import ROOT
from convert.errors import INTERRUPTED, ConvertError
from convert.order import Order
from deploy import cli as deployer
from tests.commands import blocks

FOLDERS = ("docs", "deploy", "models", "native", "convert")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(file for name in FOLDERS for file in ROOT.glob(f"{name}/**/*.md"))])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def make(*arguments: str) -> str:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|\$ |&& )make ([a-z]+)", document.read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_settings_exist(document: Path) -> None:
    known = dict(settings.fields())
    chart = yaml.safe_load((ROOT / "deploy" / "chart" / "wordtell" / "values.yaml").read_text())
    elsewhere = {f"{section}.{key}" for section in ("model", "jobs") for key in chart[section]} | {
        "model.py",
        "model.onnx",
        "model.md",
    }
    named = re.findall(r"`((?:model|api|cpu|jobs)\.[a-z_]+)`", document.read_text())
    assert [key for key in named if key not in known and key not in elsewhere] == []
    variables = {settings.variable(key) for key in known} | {settings.CONFIG_VARIABLE, settings.ISA_VARIABLE}
    assert set(re.findall(r"\bWORDTELL_[A-Z0-9_]+", document.read_text())) <= variables


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


def commands() -> dict[str, set[str]]:
    """Every command of ours, with the options that it knows."""
    group: Any = typer.main.get_command(cli.app)
    found = {f"wordtell {name}": command for name, command in group.commands.items()}
    found["python -m convert"] = typer.main.get_command(convert.cli.app)
    known = {name: {option for one in command.params for option in one.opts} for name, command in found.items()}
    (deploys,) = (one for one in deployer._parser()._actions if isinstance(one, argparse._SubParsersAction))
    for name, parser in deploys.choices.items():
        known[f"wordtell-deploy {name}"] = {option for one in parser._actions for option in one.option_strings}
    return known


COMMANDS = commands()


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_commands_and_their_options_exist(document: Path) -> None:
    for block in blocks(document):
        for command in block.commands:
            for called in re.findall(r"(?:^|\| )((?:wordtell|wordtell-deploy|python -m convert)\b[^|>#]*)", command):
                name = next((name for name in COMMANDS if f"{called} ".startswith(f"{name} ")), None)
                assert name, f"there is no {called}"
                assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", called)) <= COMMANDS[name] | {"--help"}


def test_the_reference_is_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    folder = ROOT / "docs" / "reference"
    assert {path.name for path in folder.iterdir()} == set(generate.PAGES)
    stale = [name for name, page in generate.PAGES.items() if (folder / name).read_text() != page()]
    assert stale == [], "run make docs"


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """Sphinx warns of every link to a page or a heading that is not there, and of a page that no other names."""
    pytest.importorskip("sphinx", reason="the extra docs needs Python 3.11 or newer")
    (line,) = re.findall(r"sphinx-build (.*) -c docs \. build/site", (ROOT / "Makefile").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *line.split(), "-c", "docs", ".", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "wordtell" in (tmp_path / "docs" / "index.html").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_no_path_of_a_machine(document: Path) -> None:
    assert not re.search(r"/(work|root|home/(?!bentoml)|tmp)/", document.read_text())


def subclasses(kind: type[errors.WordtellError]) -> set[type[errors.WordtellError]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_the_contract_lists_every_error_with_its_status() -> None:
    rows = re.findall(r"^\| ([0-9, ]+) \| ([a-z_, ]+) \|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    listed = {code.strip() for _, codes in rows for code in codes.split(",")}
    ours = [kind for kind in subclasses(errors.WordtellError) if kind.__module__.startswith("bento.")]
    ours = [kind for kind in ours if not kind.__module__.startswith("bento.checkpoint.")]  # become ConfigError
    assert listed == {kind.code for kind in ours} - {"config"}
    told = {status.strip() for cell, _ in rows for status in cell.split(",")}
    assert told == {str(statuses.status(kind)) for kind in subclasses(errors.WordtellError)}
    assert not [kind for kind in subclasses(errors.WordtellError) if hasattr(kind, "status")]  # it would say nothing


def test_operations_lists_every_metric() -> None:
    listed = set(re.findall(r"wordtell_[a-z_]+", (ROOT / "docs" / "operations.md").read_text()))
    exposed = {family.name for family in metrics.REGISTRY.collect() if family.name.startswith("wordtell_")}
    assert {name.removesuffix("_total") for name in listed} == exposed


def test_make_help_lists_the_targets() -> None:
    listed = set(re.findall(r"^make ([a-z]+)", make("help"), re.MULTILINE))
    assert listed >= {"serve", "test", "check", "convert", "bench", "image", "clean"}


def test_make_convert_says_what_it_needs() -> None:
    done = subprocess.run(["make", "-n", "convert"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "make convert needs CHECKPOINT=" in done.stderr


def test_make_serve_passes_port_and_model_on() -> None:
    plan = make("-n", "serve", "PORT=3456", "MODEL=models/other")
    assert f'WORDTELL_MODEL__CHECKPOINT_DIR="{ROOT}/models/other"' in plan
    assert "wordtell serve --port 3456" in plan


def test_the_page_on_conversion_has_the_limits_and_exit_codes_of_the_code() -> None:
    page = (ROOT / "docs" / "architecture" / "4-conversion.md").read_text()
    order = Order(source="", out=ROOT, precision="auto")
    rows = re.findall(r"^\| `(\w+)`: .* \| ([0-9.]*) ?\| ([0-9.]*) ?\|.*\|$", page, re.MULTILINE)
    for precision, column in (("fp32", 1), ("int8", 2)):
        listed = {row[0]: float(row[column]) for row in rows if row[column]}
        assert listed == order.limits(precision).known()
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert codes == {kind.exit_code for kind in ConvertError.__subclasses__()} | {INTERRUPTED}


def test_the_decision_on_graphs_has_the_figures_of_its_benchmark() -> None:
    page = (ROOT / "docs" / "adr" / "0005-a-deberta-graph-of-our-own.md").read_text()
    result = json.loads((ROOT / "benchmarks" / "results" / "graphs.json").read_text())
    for part in ("position_terms", "graph"):
        for length, ways in result[part].items():
            row = " | ".join([length, *(f"{way['times_faster']:.2f}" for way in ways.values())])
            assert f"| {row} |" in page
    result = json.loads((ROOT / "benchmarks" / "results" / "scales.json").read_text())
    for product, ways in result["products"].items():
        errors = [f"{way['relative_error_of_usual_tokens']:.4f}" for way in ways.values()]
        assert f"| {product} | {ways['a scale a token']['times_faster']:.2f} | {' | '.join(errors)} |" in page

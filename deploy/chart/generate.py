"""Write what is made of the chart: its table of values, KServe's manifests, the golden files of its tests.

    python deploy/chart/generate.py

`made()` says what each file should hold; a test compares.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "chart" / "wordtell"
KSERVE = ROOT / "deploy" / "kserve"
GOLDEN = ROOT / "tests" / "golden" / "chart"
BLOCK = re.compile(r"(?<=<!-- values -->\n).*?(?=<!-- /values -->)", re.DOTALL)


def made() -> dict[Path, str]:
    """Every file that is made, with what it should hold."""
    readme = CHART / "README.md"
    table = values_table((CHART / "values.yaml").read_text(encoding="utf-8"))
    found = {readme: BLOCK.sub(lambda _: table, readme.read_text(encoding="utf-8"))}
    for given in sorted(KSERVE.glob("*.values.yaml")):
        note = f"# Made by `make chart` from {given.name} and the chart.\n"
        out = given.with_name(given.name.replace(".values", ""))
        found[out] = note + render(yaml.safe_load(given.read_text(encoding="utf-8")), "default")
    for given in sorted(GOLDEN.glob("*.values.yaml")):
        out = given.with_name(given.name.replace(".values", ""))
        found[out] = render(yaml.safe_load(given.read_text(encoding="utf-8")), "prod")
    return found


def render(values: dict[str, Any], namespace: str) -> str:
    """The objects of a release named wordtell, as YAML documents in the order of their templates."""
    with Chart.load(CHART) as chart:
        templates = chart.render(values, name="wordtell", namespace=namespace)
    documents = []
    for name, text in sorted(templates.items()):
        if name.endswith(".yaml"):
            documents += [document for document in yaml.safe_load_all(text) if document]
    return "".join("---\n" + yaml.safe_dump(document, sort_keys=False, width=120) for document in documents)


def values_table(text: str) -> str:
    """A Markdown table of the values that have a comment: key, default, the comment in one line."""
    rows, path, comment = ["| key | default | meaning |", "| --- | --- | --- |"], [], []
    values = yaml.safe_load(text)
    for line in text.splitlines():
        if not line.strip():
            comment = []  # what stands alone is about the file
        elif line.lstrip().startswith("#"):
            comment.append(line.strip(" #"))
        elif found := re.match(r"( *)(\w+):", line):
            path = [*path[: len(found[1]) // 2], found[2]]
            if comment:
                value = values
                for key in path:
                    value = value[key]
                default = (
                    "" if value is None else f"`{yaml.safe_dump(value, default_flow_style=True).split(chr(10))[0]}`"
                )
                rows.append(f"| `{'.'.join(path)}` | {default} | {' '.join(comment)} |")
            comment = []
    return "\n".join(["", *rows, "", ""])


def main() -> None:
    """Write them."""
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

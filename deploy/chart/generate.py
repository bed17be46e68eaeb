"""Write what is made of the chart: its table of values, KServe's manifests, the golden files of its tests.

    python deploy/chart/generate.py

And what follows the version in bento/__init__.py: the chart itself, and images in documents and examples. `versioned()`
and `made()` say what each file should hold; a test compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bento import __version__  # noqa: E402
from deploy import manifests  # noqa: E402
from deploy.render import CHART, Order, render  # noqa: E402
from deploy.types import Release  # noqa: E402

KSERVE = ROOT / "deploy" / "kserve"
GOLDEN = ROOT / "tests" / "golden" / "chart"
BLOCK = re.compile(r"(?<=<!-- values -->\n).*?(?=<!-- /values -->)", re.DOTALL)


# Files that name the version: in a chart's keys, or as an image's tag.
VERSIONED = (CHART / "Chart.yaml", ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.yaml"))
VERSION = re.compile(r"(?m)(^version: |^appVersion: |\bwordtell(?:-ray)?:)\d+\.\d+\.\d+")


def versioned() -> dict[Path, str]:
    """Every file that names the version, with what it should hold."""
    return {path: VERSION.sub(rf"\g<1>{__version__}", path.read_text(encoding="utf-8")) for path in VERSIONED}


def made() -> dict[Path, str]:
    """Every file that is made, with what it should hold."""
    readme = CHART / "README.md"
    table = values_table((CHART / "values.yaml").read_text(encoding="utf-8"))
    found = {readme: BLOCK.sub(lambda _: table, readme.read_text(encoding="utf-8"))}
    note = "# Made by `make chart` of the chart and {}.\n"
    for folder, namespace in ((KSERVE, "default"), (GOLDEN, "prod")):
        for given in sorted(folder.glob("*.values.yaml")):
            order = Order(Release("wordtell", namespace), "helm", files=[given])
            text = note.format(given.name) + manifests.dump(render(order).objects)
            found[given.with_name(given.name.replace(".values", ""))] = text
    return found


def values_table(text: str) -> str:
    """A Markdown table of the values that have a comment: key, default, the comment in one line."""
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    path: list[str] = []
    comment: list[str] = []
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
    """Write them; the chart's version first, which others have from it."""
    for files in (versioned, made):
        for path, text in files().items():
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

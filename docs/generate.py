"""Write docs/reference/: routes from OpenAPI, settings from bento/settings, commands from their parsers, imports.

`make docs` runs it, and tests/test_docs.py compares the pages with what it would write.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

import convert.cli
from bento import settings
from bento.api import app as api
from bento.api.lifecycle import Lifecycle
from bento.cli import app as cli
from deploy import cli as deployer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).resolve().parent / "reference"
Row = Sequence[str]


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


def table(head: Row, rows: Sequence[Row]) -> str:
    """A Markdown table; nothing where there is no row."""
    lines = (head, ["---"] * len(head), *rows) if rows else ()
    cells = ([" ".join(cell.replace("|", "&#124;").split()) for cell in row] for row in lines)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def settings_page() -> str:
    """Every setting by section, with its variable, default and meaning."""
    parts = [
        "# Settings\n\nA setting is a key of `shared_config.yaml`, or an environment variable, which goes first."
        " [Operations](../operations.md#settings) has the rules; `wordtell config` prints the values in effect."
        " Where a setting is empty by default, the meaning says what applies.\n"
    ]
    sections: dict[str, list[Row]] = {}
    for key, field in settings.fields():
        row = (f"`{key}`", f"`{settings.variable(key)}`", _default(field.default), field.description or "")
        sections.setdefault(key.split(".")[0], []).append(row)
    for name, rows in sections.items():
        parts.append(f"## {name}\n\n{table(('key', 'environment', 'default', 'meaning'), rows)}")
    return "\n".join(parts)


def _default(value: object) -> str:
    if isinstance(value, Path):
        value = value.relative_to(settings.ROOT)
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return "" if value is None or value in ("", (), []) else f"`{shown}`"


def commands_page() -> str:
    """Every command with its arguments and options."""
    group: Any = typer.main.get_command(cli.app)
    parts = ["# Commands\n\nEach also prints this with `--help`.\n\n## wordtell\n"]
    parts += [_command(f"wordtell {name}", command) for name, command in group.commands.items()]
    parts.append("## convert\n\n`make convert` runs it.\n")
    parts.append(_command("python -m convert", typer.main.get_command(convert.cli.app)))
    parts.append("## wordtell-deploy\n")
    (actions,) = (one for one in deployer._parser()._actions if isinstance(one, argparse._SubParsersAction))
    parts += [_argparse(f"wordtell-deploy {name}", parser) for name, parser in actions.choices.items()]
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    """A command of typer's."""
    arguments = [one for one in command.params if not one.opts[0].startswith("-")]
    usage = " ".join(one.metavar or one.name.upper() for one in arguments)
    rows = [(f"`{one.metavar or one.name.upper()}`", "", one.help or "") for one in arguments]
    for one in command.params:
        if one not in arguments and not one.hidden:
            names = ", ".join(f"`{option}`" for option in (*one.opts, *one.secondary_opts))
            shown = one.show_default if isinstance(one.show_default, str) else _default(one.default)
            rows.append((names, "" if one.is_flag else shown, one.help or ""))
    parts = (f"### {name}", f"`{name} {usage}`" if usage else "", command.help, _options(rows).rstrip(), command.epilog)
    return "\n\n".join(part for part in parts if part) + "\n"


def _argparse(name: str, parser: argparse.ArgumentParser) -> str:
    """A command of argparse's."""
    rows = []
    for one in parser._actions:
        if not isinstance(one, argparse._HelpAction):
            names = one.option_strings or ["|".join(one.choices) if one.choices else one.dest.upper()]
            shown = "" if isinstance(one, argparse._StoreTrueAction | argparse._StoreFalseAction) else one.default
            rows.append((", ".join(f"`{each}`" for each in names), _default(shown or None), one.help or ""))
    return f"### {name}\n\n{parser.description}\n\n{_options(rows)}"


def _options(rows: Sequence[Row]) -> str:
    return table(("option", "default", "meaning"), rows)


def routes_page() -> str:
    """Every route of the OpenAPI document, then the schemas of bodies and answers."""
    document = api.create(Lifecycle(settings.Settings())).openapi()
    parts = [
        "# Routes\n\nFrom the OpenAPI document, which a running server has at `/docs.json` and shows at `/docs`."
        " [The HTTP contract](../api.md) explains them.\n"
    ]
    tags: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append(_route(method, path, operation))
    parts += [f"## {tag}\n\n" + "\n".join(routes) for tag, routes in tags.items()]
    parts.append("## Schemas\n")
    for name, schema in document["components"]["schemas"].items():
        fields = table(("field", "type", "meaning"), list(_fields(schema))).rstrip("\n")
        about = schema.get("description", "")
        parts.append("\n\n".join(part for part in (f"### {name}", about, fields) if part) + "\n")
    return "\n".join(parts)


def _route(method: str, path: str, operation: Mapping[str, Any]) -> str:
    about = operation.get("description", "")
    rows = [
        (f"`{one['name']}` ({one['in']})", _type(one["schema"]), one.get("description", ""))
        for one in operation.get("parameters", ())
    ]
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        schema = body.get("schema", {})
        if rows_of_body := list(_fields(schema)):
            rows += [(f"{name} (body)", kind, meaning) for name, kind, meaning in rows_of_body]
        else:
            rows.append((f"body, `{media}`", _type(schema), schema.get("description", "")))
    asked = table(("request", "type", "meaning"), rows)
    answers = [
        (status, _type(next(iter(bodies.values()))["schema"] if bodies else {}), answer["description"])
        for status, answer in sorted(operation["responses"].items())
        for bodies in [answer.get("content")]
    ]
    parts = (f"### {method.upper()} {path}", operation["summary"] + ".", about, asked.rstrip("\n"))
    return "\n\n".join(part for part in (*parts, table(("status", "body", "when"), answers)) if part)


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in required else " (optional)"
        yield f"`{name}`{optional}", _type(field), field.get("description", "")


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, linked where it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if ways := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " or ".join(dict.fromkeys(_type(way) for way in ways))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def imports_page() -> str:
    """The contracts that import-linter checks."""
    project = tomllib.loads((settings.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [
        "# Imports\n\n`make check` holds these contracts of `pyproject.toml` with import-linter. A layer may import the"
        " layers below it in its list, and none above. Modules that `|` separates do not import each other.\n"
    ]
    for contract in project["tool"]["importlinter"]["contracts"]:
        where = "".join(f"{name}." for name in contract.get("containers", ()))
        lines = [f"## {contract['name'][0].upper()}{contract['name'][1:]}\n"]
        if contract["type"] == "layers":
            names = ([f"`{where}{name.strip()}`" for name in layer.split("|")] for layer in contract["layers"])
            lines += [f"{number}. {' | '.join(layer)}" for number, layer in enumerate(names, 1)]
        else:
            sources, targets = (
                ", ".join(f"`{name}`" for name in contract[f"{kind}_modules"]) for kind in ("source", "forbidden")
            )
            lines.append(f"{sources} may not import {targets}.")
        if ignored := contract.get("ignore_imports"):
            lines.append("\nExcept: " + ", ".join(f"`{' '.join(one.split())}`" for one in ignored) + ".")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "cli.md": commands_page,
    "routes.md": routes_page,
    "imports.md": imports_page,
}

if __name__ == "__main__":
    main()

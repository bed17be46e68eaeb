"""Which fields of objects (JSON, a list on standard input) do the models of KServe's SDK not have?

Run in .venv-kserve. Prints a JSON list of paths; required fields that are missing are among them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import kserve.models
import kubernetes.client


def unknown(value: Any, kind: str, path: str) -> Iterator[str]:
    """Walk a value along a model's types: `list[V1Container]`, `dict(str, str)`, `V1Probe`, `int`."""
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        for index, item in enumerate(value):
            yield from unknown(item, found[1], f"{path}[{index}]")
    elif found := re.fullmatch(r"dict\(str, (.+)\)", kind):
        for key, item in value.items():
            yield from unknown(item, found[1], f"{path}.{key}")
    elif model := getattr(kserve.models, kind, None) or getattr(kubernetes.client, kind, None):
        fields = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
        for key, item in value.items():
            if key in fields:
                yield from unknown(item, fields[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: {kind} has no such field"
    elif kind in ("int", "str", "bool") and not isinstance(value, {"int": int, "str": str, "bool": bool}[kind]):
        yield f"{path}: {value!r} is no {kind}"


if __name__ == "__main__":
    wrong: list[str] = []
    for document in json.load(sys.stdin):
        version, name = document["apiVersion"].rpartition("/")[2], document["kind"]
        wrong += unknown(document, f"{version[0].upper()}{version[1:]}{name}", name)
    print(json.dumps(wrong))

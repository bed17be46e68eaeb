"""Custom resource definitions as the API server reads them: a field that a schema does not know is refused.

The definitions are not the project's: CLUSTER_CRDS names the folder, or they lie beside the checkout.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from bento.settings import ROOT

FOLDER = Path(os.environ.get("CLUSTER_CRDS", ROOT.parent / "shared" / "crds"))


@cache
def schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """(apiVersion, kind) -> schema; none if the folder is not there."""
    found = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def strict(schema: Any) -> Any:
    """OpenAPI with Kubernetes' extensions as a JSON schema, in which what is not named is not allowed."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
    if "pattern" in schema and isinstance(schema["pattern"], str):
        found["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")  # Go allows flags anywhere
    free = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not free:
        found["additionalProperties"] = False
    return found


def check(item: dict[str, Any], schema: dict[str, Any]) -> None:
    """Raise jsonschema.ValidationError for what the API server would refuse."""
    bare = {**item, "metadata": {}}  # ObjectMeta is the API server's own
    jsonschema.Draft202012Validator(schema).validate(bare)

"""Server-side apply as the API server does it: who owns which field, what conflicts, what falls to its default. (pure)

A field is a path in the notation of `managedFields`: `("f:spec", "f:replicas")`; items of lists that have names are
`k:{"name":"wordtell"}`, other lists and `resourceFieldRef` are one field. Owners are (manager, operation, subresource).
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]
Owner = tuple[str, str, str]
Owners = dict[Owner, set[Path]]
_UNOWNED = {("apiVersion",), ("kind",), ("status",), *(("metadata", part) for part in (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields",
    "deletionTimestamp", "finalizers", "ownerReferences"))}  # fmt: skip
_NAMED = {"containers", "initContainers", "env", "volumes"}
_DEFAULTS: dict[str, Object] = {
    "Deployment": {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600},
    "Service": {"type": "ClusterIP", "sessionAffinity": "None"},
    "HorizontalPodAutoscaler": {"minReplicas": 1},
}


def leaves(value: Any, keys: tuple[str, ...] = (), path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field with its value."""
    if keys in _UNOWNED:
        return
    if isinstance(value, dict) and value and keys[-1:] != ("resourceFieldRef",):
        for key, inner in value.items():
            yield from leaves(inner, (*keys, key), (*path, f"f:{key}"))
    elif _is_named(keys, value):
        for item in value:
            yield from leaves(
                item, (*keys, "*"), (*path, "k:" + json.dumps({"name": item["name"]}, separators=(",", ":")))
            )
    else:
        yield path, value


def dotted(path: Path) -> str:
    """As a conflict names it: `.spec.replicas`, `.env[name="A"].value`."""
    text = ""
    for part in path:
        named = part.removeprefix("k:")
        text += f'[name="{json.loads(named)["name"]}"]' if part.startswith("k:") else f".{part.removeprefix('f:')}"
    return text


def put(owners: Owners, before: Object, after: Object, manager: str, sub: str = "") -> None:
    """An update: what changed belongs to `manager` alone."""
    had = dict(leaves(before))
    changed = {path for path, value in leaves(after) if path not in had or had[path] != value}
    gone = set(had) - dict(leaves(after)).keys()
    for paths in owners.values():
        paths.difference_update(changed | gone)
    owners.setdefault((manager, "Update", sub), set()).update(changed)


def apply(owners: Owners, live: Object, wanted: Object, manager: str, *, force: bool) -> tuple[Object, list[Object]]:
    """The merged object, and the causes of a conflict. Changes `owners` unless there is one."""
    have, new, me = dict(leaves(live)), dict(leaves(wanted)), (manager, "Apply", "")
    clashes = [
        (path, owner) for path, value in new.items() for owner, paths in owners.items()
        if owner != me and path in paths and have.get(path) != value
    ]  # fmt: skip
    if clashes and not force:
        return live, [_cause(path, owner, wanted["apiVersion"]) for path, owner in clashes]
    for path, owner in clashes:
        owners[owner].discard(path)
    merged = copy.deepcopy(live)
    others = {path for owner, paths in owners.items() if owner != me for path in paths}
    for path in owners.get(me, set()) - new.keys() - others:
        _unset(merged, path)
    _merge(merged, wanted)
    owners[me] = set(new)
    return merged, []


def stored(item: Object) -> Object:
    """As the server keeps it: defaults filled in, quantities as text, empty lists that it does not know dropped."""
    item = copy.deepcopy(item)
    for field, value in _DEFAULTS.get(item["kind"], {}).items():
        item.setdefault("spec", {}).setdefault(field, value)
    if item["kind"] == "NetworkPolicy" and item["spec"].get("egress") == []:
        del item["spec"]["egress"]
    _canonical(item)
    return item


def managed(owners: Owners, version: str) -> list[Object]:
    """The owners as `metadata.managedFields` has them."""
    return [
        {"manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1",
         "fieldsV1": _tree(paths), **({"subresource": sub} if sub else {})}
        for (manager, operation, sub), paths in owners.items() if paths
    ]  # fmt: skip


def read(entries: list[Object]) -> Owners:
    """The other way round."""
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): set(_paths(entry["fieldsV1"]))
        for entry in entries
    }


def _cause(path: Path, owner: Owner, version: str) -> Object:
    sub = f' with subresource "{owner[2]}"' if owner[2] else ""
    message = f'conflict with "{owner[0]}"{sub} using {version}'
    return {"reason": "FieldManagerConflict", "message": message, "field": dotted(path)}


def _tree(paths: set[Path]) -> Object:
    found: Object = {}
    for path in sorted(paths):
        at = found
        for part in path:
            at = at.setdefault(part, {})
    return found


def _paths(tree: Object, path: Path = ()) -> Iterator[Path]:
    if not tree:
        yield path
    for part, inner in tree.items():
        if part != ".":
            yield from _paths(inner, (*path, part))


def _is_named(keys: tuple[str, ...], value: Any) -> bool:
    named = bool(keys) and keys[-1] in _NAMED and isinstance(value, list)
    return named and value != [] and all("name" in one for one in value)


def _unset(item: Any, path: Path) -> None:
    part, rest = path[0], path[1:]
    if part.startswith("k:"):
        name = json.loads(part[2:])["name"]
        found = [entry for entry in item if entry.get("name") == name]
        if found and rest:
            _unset(found[0], rest)
            if found[0].keys() <= {"name"} or not found[0]:
                item.remove(found[0])
        return
    key = part.removeprefix("f:")
    if key not in item:
        return
    if not rest:
        del item[key]
        return
    _unset(item[key], rest)
    if item[key] in ({}, []):
        del item[key]


def _merge(into: Object, wanted: Object) -> None:
    for key, value in wanted.items():
        have = into.get(key)
        if isinstance(value, dict) and isinstance(have, dict) and key != "resourceFieldRef":
            _merge(have, value)
        elif _is_named((key,), value) and isinstance(have, list):
            for entry in value:
                there = next((old for old in have if old.get("name") == entry["name"]), None)
                if there is None:
                    have.append(copy.deepcopy(entry))
                else:
                    _merge(there, entry)
        else:
            into[key] = copy.deepcopy(value)


def _canonical(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _canonical(item)
    if isinstance(value, dict):
        for part in ("limits", "requests"):
            if isinstance(value.get(part), dict):
                value[part] = {name: str(amount) for name, amount in value[part].items()}
        if "resourceFieldRef" in value:
            value["resourceFieldRef"].setdefault("divisor", "0")
        for inner in value.values():
            _canonical(inner)


def selects(selector: str, item: Object) -> bool:
    """Equality, inequality and existence, which is what the deployer and Helm use."""
    labels = item["metadata"].get("labels") or {}
    terms = [re.fullmatch(r"([^!=]+)(!=|==?)?(.*)", term) for term in selector.split(",") if term]
    return all(
        labels.get(t[1]) != t[3] if t[2] == "!=" else t[1] in labels and (not t[2] or labels[t[1]] == t[3])
        for t in terms if t
    )  # fmt: skip


def merge_patch(operations: list[Object]) -> Object:
    """RFC 6902's `replace` as a merge patch."""
    found: Object = {}
    for operation in operations:
        assert operation["op"] == "replace", operation
        *parents, last = operation["path"].strip("/").split("/")
        at = found
        for part in parents:
            at = at.setdefault(part, {})
        at[last] = operation["value"]
    return found


def patched(item: Object, patch: Object) -> Object:
    """RFC 7386."""
    found = dict(item)
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            found[key] = patched(found[key] if isinstance(found.get(key), dict) else {}, value)
        else:
            found[key] = value
    return found

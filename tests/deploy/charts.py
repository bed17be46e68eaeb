"""The chart through Helm's own engine, as its tests see it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from helm_python import Chart

from bento.settings import ROOT
from deploy.manifests import parse, pod_spec
from deploy.render import CHART

Objects = list[dict[str, Any]]
# They come with their own controllers; the API server's schemas do not know them.
CUSTOM = {"ScaledObject", "HTTPRoute", "ServiceMonitor", "PrometheusRule", "ServingRuntime", "InferenceService"}


def generator() -> ModuleType:
    """deploy/chart/generate.py, which is no package."""
    spec = importlib.util.spec_from_file_location("chart_generate", CHART.parent / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rendered(values: str | dict[str, Any] = "") -> Objects:
    """The objects of a release, from values as YAML."""
    given = yaml.safe_load(values) if isinstance(values, str) else values
    with Chart.load(CHART) as chart:
        templates = chart.render(given or {}, name="wordtell", namespace="prod")
    return [item for path, text in sorted(templates.items()) if path.endswith(".yaml") for item in parse(text, path)]


def only(objects: Objects, kind: str) -> dict[str, Any]:
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def kinds(objects: Objects) -> set[str]:
    return {item["kind"] for item in objects}


def pod(item: dict[str, Any]) -> dict[str, Any] | None:
    """The pod that an object makes, if it makes one."""
    if item["kind"] == "Pod":
        return dict(item["spec"])
    return None if item["kind"] == "InferenceService" else pod_spec(item)  # it refers to a ServingRuntime's


def all_values() -> Iterator[tuple[str, dict[str, Any]]]:
    """The values of every golden file, and of every example."""
    for folder in (ROOT / "tests" / "golden" / "chart", ROOT / "deploy" / "kserve", CHART.parent / "examples"):
        for path in sorted(Path(folder).glob("*.values.yaml")):
            yield path.name.partition(".")[0], yaml.safe_load(path.read_text())

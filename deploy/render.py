"""Chart and values -> objects, through Helm's own engine. The one importer of `helm_python`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from deploy import manifests
from deploy.errors import RenderError
from deploy.types import Object, Release

CHART = Path(__file__).resolve().parent / "chart" / "wordtell"
Form = Literal["plain", "helm", "kserve"]


@dataclass(frozen=True)
class Order:
    """What to render. `sets` are Helm's `--set` expressions. They win over the files, a later file over an earlier."""

    release: Release
    form: Form = "plain"
    chart: Path = CHART
    files: Sequence[Path] = ()
    sets: Sequence[str] = ()


@dataclass(frozen=True)
class Rendered:
    """`text` is what `render` prints, `objects` what `apply` applies, in order; `minimum` the chart's kubeVersion."""

    text: str
    objects: list[Object]
    minimum: str | None


def render(order: Order) -> Rendered:
    """Render: `helm` is what `helm template` prints, the other forms hold nothing of Helm's. Raises RenderError."""
    helm = _helm()
    if not (order.chart / "Chart.yaml").is_file():
        raise RenderError(f"{order.chart} is not a chart: it has no Chart.yaml; see --chart")
    values: dict[str, Any] = {}
    for file in order.files:
        _merge(values, _read(file))
    try:
        for expression in order.sets:
            if "=" not in expression:
                raise RenderError(f"--set {expression}: write --set key=value")
            _merge(values, helm.parse_set_string(expression))
        if order.form == "kserve":
            _merge(values, {"kserve": {"enabled": True}})
        with helm.Chart.load(order.chart) as chart:
            helm.validate_release_name(order.release.name)
            defaults = chart.values
            chart.validate_schema(values)
            rendered = chart.render(values, name=order.release.name, namespace=order.release.namespace)
            minimum = chart.metadata.get("kubeVersion") or chart.metadata.get("kube_version")
    except helm.HelmError as error:
        raise RenderError(_explain(error.detail, defaults if "defaults" in locals() else {})) from None
    sources = [
        (path, text) for path, text in sorted(rendered.items()) if path.endswith((".yaml", ".yml")) and text.strip()
    ]
    objects = [item for path, text in sources for item in manifests.parse(text, path)]
    if order.form == "helm":
        text = "".join(
            f"---\n# Source: {path}\n{text.strip().removeprefix('---').lstrip()}\n" for path, text in sources
        )
        return Rendered(text, manifests.ordered(objects), minimum)
    objects = manifests.plain(objects, order.release)
    manifests.check(objects)
    return Rendered(manifests.dump(objects), objects, minimum)


def _helm() -> Any:
    try:
        import helm_python  # noqa: PLC0415  # a shared library of 60 MB, which --help need not load
    except ImportError:
        raise RenderError("rendering needs helm-python-sdk: pip install 'wordtell[deploy]'") from None
    return helm_python


def _read(file: Path) -> Mapping[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RenderError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    except yaml.YAMLError as error:
        raise RenderError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict | None):
        raise RenderError(f"{file}: a values file is a mapping of keys to values")
    return values or {}


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _explain(detail: str, defaults: Mapping[str, Any]) -> str:
    """Helm's message on one line, with the nearest known key for one that is not known."""
    message = " ".join(line.strip(" -") for line in detail.splitlines() if line.strip())
    unknown = re.search(r"additional propert\w+ '([^']+)'", message, re.IGNORECASE)
    if unknown:
        near = difflib.get_close_matches(unknown[1], set(_keys(defaults)), n=1)
        return message + (f"; did you mean {near[0]!r}?" if near else "")
    return message


def _keys(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        yield key
        if isinstance(value, Mapping):
            yield from _keys(value)

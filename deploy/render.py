"""Chart and values -> objects, through Helm's own engine; `-f`, `--set`, `--set-string` mean what Helm means."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy import manifests
from deploy.engine import helm
from deploy.errors import RenderError
from deploy.types import Object, Release

CHART = Path(__file__).resolve().parent / "chart" / "wordtell"


@dataclass(frozen=True)
class Order:
    """What to render. `sets` are (as text, expression) pairs; they win over the files.
    `form`: plain, helm or kserve.
    """

    release: Release
    form: str = "plain"
    chart: Path = CHART
    files: Sequence[Path] = ()
    sets: Sequence[tuple[bool, str]] = ()


@dataclass(frozen=True)
class Rendered:
    """`text` is what `render` prints, `objects` what Helm applies, `minimum` the chart's kubeVersion."""

    text: str
    objects: list[Object]
    values: dict[str, Any] = field(default_factory=dict)
    minimum: str = ""


def render(order: Order) -> Rendered:
    """Render: `helm` is what `helm template` prints, the other forms hold nothing of Helm's. Raises RenderError."""
    if not (order.chart / "Chart.yaml").is_file():
        raise RenderError(f"{order.chart} is not a chart: it has no Chart.yaml; see --chart")
    defaults: dict[str, Any] = {}
    try:
        given = values(order)
        with helm().Chart.load(order.chart) as chart:
            helm().validate_release_name(order.release.name)
            defaults = chart.values
            chart.validate_schema(given)
            rendered = chart.render(given, name=order.release.name, namespace=order.release.namespace)
            minimum = str(chart.metadata.get("kubeVersion") or chart.metadata.get("kube_version") or "")
    except helm().HelmError as error:
        raise RenderError(_explain(error.detail, defaults)) from None
    sources = [(path, text) for path, text in sorted(rendered.items()) if path.endswith((".yaml", ".yml"))]
    objects = [item for path, text in sources for item in manifests.parse(text, path, order.release.namespace)]
    if order.form == "helm":
        texts = [(path, text.strip().removeprefix("---").lstrip()) for path, text in sources if text.strip()]
        return Rendered(
            "".join(f"---\n# Source: {path}\n{text}\n" for path, text in texts),
            manifests.ordered(objects),
            given,
            minimum,
        )
    objects = manifests.unhooked(objects)
    return Rendered(manifests.dump(manifests.plain(objects)), objects, given, minimum)


def values(order: Order) -> dict[str, Any]:
    """The values of files and expressions, merged."""
    found: dict[str, Any] = {}
    for file in order.files:
        try:
            _merge(found, helm().values_from_yaml(file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise RenderError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
        except helm().HelmError as error:
            raise RenderError(f"{file} is not a mapping of keys to values: {_explain(error.detail, {})}") from None
    for is_text, whole in sorted(order.sets, key=lambda pair: pair[0]):  # Helm reads --set-string last
        option = "--set-string" if is_text else "--set"
        # Helm reads an expression on top of what there is: `a[1]=y` changes one item. The library reads it alone, so
        # the pieces between commas are laid over one by one; an item that only fills a gap is null in both readings.
        for expression in re.split(r"(?<!\\),(?![^{}]*\})", whole):
            if not re.match(r"[^=]+=", expression):
                raise RenderError(f"{option} {whole}: write {option} key=value")
            text = helm().parse_set_string_values(expression)
            typed = text if is_text else helm().parse_set_string(expression)
            _merge(found, typed, text if re.search(r"\[\d+\][^=]*=", expression) else None)
    if order.form == "kserve":
        _merge(found, {"kserve": {"enabled": True}})
    return found


def _merge(into: Any, given: Any, gaps: Any = None) -> None:
    """Merge `given` into `into`. Lists replace each other, unless `gaps` shows which items an expression names."""
    pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
    for key, value in pairs:
        if isinstance(into, list):
            into.extend([None] * (key + 1 - len(into)))
        have = into[key] if isinstance(into, list) else into.get(key)
        if isinstance(value, Mapping) and isinstance(have, dict):
            _merge(have, value, gaps[key] if gaps is not None else None)
        elif gaps is not None and isinstance(value, list):
            into[key] = have if isinstance(have, list) else []
            _merge(into[key], value, gaps[key])
        elif gaps is None or gaps[key] is not None:
            into[key] = copy.deepcopy(value)


def _explain(detail: str, defaults: Mapping[str, Any]) -> str:
    """Helm's message on one line, with the nearest known key for one that is not known."""
    message = " ".join(line.strip(" -") for line in detail.splitlines() if line.strip())
    unknown = re.search(r"additional propert\w+ '([^']+)'", message, re.IGNORECASE)
    near = difflib.get_close_matches(unknown[1], set(_keys(defaults)), n=1) if unknown else []
    text = "; --set-string gives text" if ", want string" in message else ""
    return message + (f"; did you mean {near[0]!r}?" if near else text)


def _keys(known: Mapping[str, Any]) -> Iterator[str]:
    for key, value in known.items():
        yield key
        if isinstance(value, Mapping):
            yield from _keys(value)

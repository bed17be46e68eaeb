"""Chart and values -> objects, through Helm's own engine; `-f`, `--set`, `--set-string` mean what Helm means."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy import manifests
from deploy.engine import helm
from deploy.errors import RenderError
from deploy.types import Object, Release

CHART = Path(__file__).resolve().parent / "chart" / "wordtell"
# What a key of an expression cannot hold as it is.
_SPECIAL, _ESCAPED = r"([.,=\[\]\\])", r"\\\1"


@dataclass(frozen=True)
class Order:
    """What to render: `sets` are expressions of --set, `texts` of --set-string. `form`: plain, helm or kserve."""

    release: Release
    form: str = "plain"
    chart: Path = CHART
    files: Sequence[Path] = ()
    sets: Sequence[str] = ()
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class Rendered:
    """`text` is what `render` prints, `objects` what Helm makes of `chart` and `values`, `minimum` its kubeVersion."""

    text: str
    objects: list[Object]
    chart: Path
    values: Object
    minimum: str


def render(order: Order) -> Rendered:
    """Render: `helm` is what `helm template` prints, the other forms hold nothing of Helm's. Raises RenderError."""
    if not (order.chart / "Chart.yaml").is_file():
        raise RenderError(f"{order.chart} is not a chart: it has no Chart.yaml; see --chart")
    defaults: Object = {}
    try:
        given = values(order)
        with helm().Chart.load(order.chart) as chart:
            helm().validate_release_name(order.release.name)
            defaults = chart.values
            chart.validate_schema(given)
            rendered = chart.render(given, name=order.release.name, namespace=order.release.namespace)
            minimum = str(chart.metadata.get("kubeVersion", ""))
    except helm().HelmError as error:
        raise RenderError(_explain(error.detail, defaults)) from None
    sources = [(path, text) for path, text in sorted(rendered.items()) if path.endswith((".yaml", ".yml"))]
    objects = [item for path, text in sources for item in manifests.parse(text, path, order.release.namespace)]
    if order.form == "helm":
        texts = [(path, text.strip().removeprefix("---").lstrip()) for path, text in sources if text.strip()]
        text = "".join(f"---\n# Source: {path}\n{text}\n" for path, text in texts)
        objects = manifests.ordered(objects)
    else:
        objects = manifests.unhooked(objects)
        text = manifests.dump(manifests.plain(objects))
    return Rendered(text, objects, order.chart, given, minimum)


def values(order: Order) -> Object:
    """The values of files and expressions, merged."""
    found: Object = {}
    for file in order.files:
        try:
            _merge(found, helm().values_from_yaml(file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise RenderError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
        except helm().HelmError as error:
            raise RenderError(f"{file} is not a mapping of keys to values: {_explain(error.detail, {})}") from None
    # Helm reads an expression on top of what there is (`a[1]=y` changes one item), the library reads it alone. So all
    # goes into one expression: what there is first, then each `key=value`, its value as Helm types it.
    whole = [f"{re.sub(_SPECIAL, _ESCAPED, key)}={json.dumps(value)}" for key, value in found.items()]
    pairs = [("--set", helm().parse_set_string, given) for given in order.sets]
    pairs += [("--set-string", helm().parse_set_string_values, given) for given in order.texts]
    for option, parse, given in pairs:
        for expression in re.split(r"(?<!\\),(?![^{}]*\})", given):
            key, equals, value = expression.partition("=")
            if not (key and equals):
                raise RenderError(f"{option} {given}: write {option} key=value")
            whole.append(f"{key}={json.dumps(parse('x=' + value)['x'])}")
    if order.form == "kserve":
        whole.append("kserve.enabled=true")
    return dict(helm().parse_set_json(",".join(whole)))


def _merge(into: Object, given: Object) -> None:
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _explain(detail: str, defaults: Object) -> str:
    """Helm's message on one line, with the nearest known key for one that is not known."""
    message = " ".join(line.strip(" -") for line in detail.splitlines() if line.strip())
    unknown = re.search(r"additional propert\w+ '([^']+)'", message, re.IGNORECASE)
    known = set(re.findall(r'"(\w+)":', json.dumps(defaults)))
    near = difflib.get_close_matches(unknown[1], known, n=1) if unknown else []
    text = "; --set-string gives text" if ", want string" in message else ""
    return message + (f"; did you mean {near[0]!r}?" if near else text)

"""`wordtell batch`: checks its options, and runs on this machine or on Ray."""

from __future__ import annotations

from bento.errors import ConfigError
from bento.settings import Settings
from bulk import formats
from bulk.readers import Columns
from bulk.records import INCLUDABLE
from bulk.run import Order, Outcome, run, sources

__all__ = ["on_ray", "order", "run", "sources"]


def order(  # noqa: PLR0913 - each is an option
    source: str,
    output: str,
    *,
    text: str | None,
    name: str | None,
    include: str,
    kind: str | None,
    output_format: str,
    rows: int,
) -> Order:
    """Raises ConfigError for an invalid value of an option."""
    wanted = tuple(one for one in INCLUDABLE if one in include.split(","))
    if unknown := [one for one in include.split(",") if one not in INCLUDABLE]:
        raise ConfigError(f"--include {unknown[0]} is unknown: scores, spans, summary", "--include")
    if kind is not None and kind not in formats.KINDS:
        raise ConfigError(f"--format {kind} is unknown: {', '.join(formats.KINDS)}", "--format")
    written = formats.of(f"out.{output_format}")
    if written is None or written.kind not in formats.WRITTEN:
        raise ConfigError(
            f"--output-format {output_format} is unknown: {', '.join(formats.WRITTEN)}", "--output-format"
        )
    return Order(source, output, Columns(text, name), wanted, kind, written, rows)


def on_ray(order: Order, settings: Settings, address: str | None, workers: int | None) -> Outcome:
    """Imports Ray. Raises ClusterError too."""
    from bulk import cluster  # noqa: PLC0415 - an extra of its own

    return cluster.run(order, settings, address, workers)

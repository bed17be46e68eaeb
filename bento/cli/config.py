"""`wordtell config`: every setting."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from bento import logs, settings


def config() -> None:
    """Print every setting: its value, where it came from, and what it means."""
    console = Console(highlight=False, soft_wrap=True)
    meanings = dict(settings.fields())
    for origin in settings.load().origins:
        value = "***" if origin.key == "api.keys" and origin.value else logs.one_line(f"{origin.value}")
        console.print(Text.assemble((origin.key, "bold"), f" = {value}", (f"  ({origin.source})", "dim")))
        console.print(Text(f"    {meanings[origin.key].description}", style="dim"))

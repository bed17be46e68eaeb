"""The `wordtell` command."""

from bento.cli.app import main

__all__ = ["main"]

"""`wordtell serve`: the HTTP server."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Annotated, NoReturn

import typer

from bento import settings


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, envvar="PORT", help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.", show_default="all, of IPv4 and IPv6")] = "",
) -> NoReturn:
    """Serve over HTTP: `bentoml serve` of this folder, stopped gracefully."""
    grace = settings.load().settings.api.shutdown_s
    settings.pin(os.environ)  # bentoml serve reads the settings in the folder of service.py
    environment = {"BENTOML_DO_NOT_TRACK": "True", **os.environ}
    command = [sys.executable, "-m", "bentoml", "serve", str(settings.ROOT)]
    options = ["--host", host or _everywhere(), "--port", str(port), "--timeout-graceful-shutdown", str(round(grace))]
    os.execve(sys.executable, [*command, *options], environment)  # noqa: S606 - no shell is wanted


def _everywhere() -> str:
    """The address that stands for all of this machine: of both families where one socket can listen to both."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        if not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            return "::"
    return "0.0.0.0"  # noqa: S104 - as bentoml serve does

"""The BentoML service: connects `bento` to HTTP, and nothing else."""

from __future__ import annotations

import logging
import os
from functools import partial

import bentoml
import click

from bento import logs, memory, settings, tracing
from bento.api import app, healthcheck, layers, listening
from bento.api.edge import Edge
from bento.api.lifecycle import Lifecycle, check
from bento.errors import WordtellError

logs.guard()
memory.share_heap()

logging.getLogger("wordtell").setLevel(logging.INFO)

try:
    _settings = settings.load().settings
    layers.replace()
except WordtellError as error:
    raise logs.refusal(error) from None
if _settings.log.format == "json":
    logs.write_json()

_lifecycle = Lifecycle(_settings)
_app = app.create(_lifecycle)
listening.install(_settings.api)


@bentoml.service(
    name="wordtell",
    workers=1,  # lanes share one process: its weights, its queue, its fairness
    metrics={"enabled": False},  # ours are at /metrics
    logging={"access": {"request_content_type": False}},  # any bytes, which it would decode in the middle of the answer
)
@bentoml.asgi_app(_app, path="/")
class Wordtell:
    """For every word of a text, how likely it is that a machine wrote it."""

    def __init__(self) -> None:
        _lifecycle.start()

    @bentoml.on_deployment  # type: ignore[untyped-decorator]  # BentoML's are not typed
    @staticmethod
    def check() -> None:
        """Before the port is opened: what cannot be served stops the server with one line."""
        serve = click.get_current_context(silent=True)  # BentoML passes the command's own options to nobody else
        if serve is None:
            return
        settings.pin(os.environ)  # the worker will be started in this folder, wherever `bentoml serve` was
        # An option that was not given is None there; these are BentoML's own defaults.
        host, port = serve.params["host"] or "0.0.0.0", serve.params["port"] or 3000  # noqa: S104
        try:
            check(host, port)
        except WordtellError as error:
            raise logs.refusal(error) from None
        healthcheck.remember(port)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML's are not typed
    def stop(self) -> None:
        """Once the last admitted request is answered."""
        _lifecycle.stop()
        tracing.stop()

    def __is_ready__(self) -> bool:
        return _lifecycle.detector is not None


Wordtell.add_asgi_middleware(  # type: ignore[attr-defined]  # the decorators hide the Service's type
    Edge,
    base_path=_settings.api.base_path,
    origins=_settings.api.cors_origins,
    knows=partial(app.knows, _app),
)

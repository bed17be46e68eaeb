"""All routes together, and the document that describes them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.routing import Match

from bento import __version__
from bento.api import document, jobs, open_inference, predict, static, status
from bento.api.errors import documented
from bento.api.lifecycle import Lifecycle
from bento.api.scoring import Desk
from bento.errors import ModelNotReady
from bento.settings import ApiSettings

_DESCRIPTION = """For every word of a text, how likely it is that a machine wrote it.

Every answer carries `X-Request-Id`, echoed when sent. Every error has one shape:
`{"error": {"code", "message", "field"}}`; below `/v1` and `/v2` the Open Inference Protocol's:
`{"error": "message"}`. No text is ever logged."""


def create(lifecycle: Lifecycle) -> FastAPI:
    """The application that service.py mounts beside BentoML's own routes, and before them."""
    base = lifecycle.settings.api.base_path
    app = FastAPI(
        title="wordtell",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=static.OPENAPI,
        servers=[{"url": base}] if base else None,
        docs_url=None,
        redoc_url=None,
    )
    desk = Desk(lifecycle)
    app.include_router(predict.router(lifecycle.settings.api, desk))
    app.include_router(document.router(lifecycle.settings.api, desk))
    app.include_router(jobs.router(lifecycle))
    app.include_router(open_inference.router(lifecycle, desk))
    app.include_router(status.router(lifecycle))
    app.include_router(static.router(base))
    _document_what_is_done_by_hand(app, lifecycle.settings.api)
    return app


def knows(app: FastAPI, path: str) -> bool:
    """Is there a route of this path, whatever its method?"""
    asked = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(asked)[0] is not Match.NONE for route in app.routes)


def _document_what_is_done_by_hand(app: FastAPI, limits: ApiSettings) -> None:
    """BentoML answers the probes, and some bodies are parsed by hand, so FastAPI does not know them."""
    ok = {"200": {"description": "Yes."}}
    not_ready = {str(code): _plain(spec) for code, spec in documented(ModelNotReady).items() if code == 503}
    probes = {
        "/livez": {"get": {"tags": ["Status"], "summary": "Is the process alive?", "responses": ok}},
        "/readyz": {
            "get": {"tags": ["Status"], "summary": "Would a request be answered now?", "responses": ok | not_ready}
        },
    }
    schema = app.openapi()
    # FastAPI promises errors of its own wherever a path has a parameter. Ours are texts, and it refuses none.
    for operation in (operation for methods in schema["paths"].values() for operation in methods.values()):
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    schema["paths"] |= probes
    schema["components"]["schemas"] |= open_inference.schemas(limits)


def _plain(spec: dict[str, Any]) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/ErrorResponse"}
    return {"description": spec["description"], "content": {"application/json": {"schema": reference}}}

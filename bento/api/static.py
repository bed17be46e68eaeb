"""Serves the page at `/`: the files of bento/api/page, unchanged, which load nothing from elsewhere."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

from bento.api.edge import SENT
from bento.errors import NotFound

FOLDER = Path(__file__).parent / "page"
OPENAPI = "/docs.json"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
_HEADERS = {
    # Nothing of another origin, no inline script, no frame around it; img: the picture that is exported.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # revalidated each time (304), so a new version is used at once
}


def router(base: str) -> APIRouter:
    """The page, its files, and OpenAPI's page. base: the path below which a proxy shows the server, or empty."""
    routes = APIRouter(include_in_schema=False)
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in _TYPES}
    # Below a base path the page may be shown at /base, from where a relative address would lead out of it.
    index = files.pop("index.html").replace(b'="./', f'="{base or "."}/'.encode())

    @routes.get("/")
    async def page(request: Request) -> Response:
        return _answer(request, index, ".html")

    @routes.get("/page/{name}")
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise NotFound(request.url.path)
        return _answer(request, files[name], Path(name).suffix)

    @routes.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        # BentoML's own page reports each visit to an analytics service; this one loads nothing from elsewhere.
        here = base or (".." if request.scope[SENT]["path"].endswith("/") else ".")
        return get_swagger_ui_html(
            openapi_url=here + OPENAPI,
            title="wordtell",
            swagger_js_url=f"{here}/static_content/swagger-ui-bundle.js",
            swagger_css_url=f"{here}/static_content/swagger-ui.css",
            swagger_favicon_url=f"{here}/static_content/favicon-light-32x32.png",
        )

    return routes


def _answer(request: Request, content: bytes, suffix: str) -> Response:
    tag = f'"{blake2b(content, digest_size=8).hexdigest()}"'
    headers = {**_HEADERS, "ETag": tag}
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=f"{_TYPES[suffix]}; charset=utf-8")

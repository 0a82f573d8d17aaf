"""The OpenAPI document and the page that shows it, served from the package's own files."""

from __future__ import annotations

from importlib import resources
from typing import Final

from evertill.domain.errors import NotFound
from evertill.service.exchange import Exchange, Response

_ROOM: Final = resources.files("evertill.service") / "assets"
MEDIA_TYPES: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}


def openapi(_: Exchange) -> Response:
    """Return the OpenAPI document."""
    return Response(200, (_ROOM / "openapi.json").read_bytes())


def docs(_: Exchange) -> Response:
    """Return the page."""
    return Response(200, (_ROOM / "docs.html").read_bytes(), "text/html; charset=utf-8")


def docs_asset(_: Exchange, name: str) -> Response:
    """Return a script or a style sheet of the page; raise NotFound for anything else."""
    media_type = MEDIA_TYPES.get(name)
    if media_type is None:
        raise NotFound
    return Response(200, (_ROOM / name).read_bytes(), media_type)

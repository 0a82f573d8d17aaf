"""The OpenAPI document and the page that shows it, served from the package's own files.

The page is Swagger UI, shipped with the package, so that it works without the internet. Its headers
let it load what this service serves and speak to this service, nothing else: a key that somebody
types into it stays here.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

from evertill.domain.errors import NotFound
from evertill.service.exchange import JSON, Exchange, Response

ASSET_MAX_AGE_S: Final = 3600
MEDIA_TYPES: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}

_ROOM: Final = resources.files("evertill.service") / "assets"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The page and the document change with a release, so browsers are to ask for them every time.
_FRESH: Final = (("cache-control", "no-cache"), ("x-content-type-options", "nosniff"))
_PAGE: Final = (*_FRESH, ("content-security-policy", _POLICY), ("referrer-policy", "no-referrer"))
_ASSET: Final = (
    ("cache-control", f"public, max-age={ASSET_MAX_AGE_S}"),
    ("x-content-type-options", "nosniff"),
)


def openapi(_: Exchange) -> Response:
    """Return the OpenAPI document."""
    return Response(200, _read("openapi.json"), JSON, _FRESH)


def docs(_: Exchange) -> Response:
    """Return the page."""
    return Response(200, _read("docs.html"), "text/html; charset=utf-8", _PAGE)


def docs_asset(_: Exchange, name: str) -> Response:
    """Return a script or a style sheet of the page; raise NotFound for anything else."""
    media_type = MEDIA_TYPES.get(name)
    if media_type is None:
        raise NotFound
    return Response(200, _read(name), media_type, _ASSET)


@cache
def _read(name: str) -> bytes:
    return (_ROOM / name).read_bytes()

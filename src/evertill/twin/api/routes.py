"""Which operation of a REST service an address means.

It is separate because only the two REST protocols need it, and because the rules are AWS's: the
longest literal path wins, `{Name+}` takes slashes, and a query may be part of the address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote

import msgspec
from botocore.model import OperationModel, ServiceModel

from evertill.twin.api.errors import ApiError

LABEL: Final = re.compile(r"\{([A-Za-z0-9_-]+)(\+?)\}")
NOT_FOUND: Final = 404


class Route(msgspec.Struct, frozen=True):
    """One operation's address."""

    operation: OperationModel
    method: str
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    query: tuple[tuple[str, str], ...]


class Routes:
    """The addresses of all operations of a service."""

    def __init__(self, service: ServiceModel) -> None:
        """Read them from the model."""
        routes = [_route(service.operation_model(name)) for name in service.operation_names]
        # What says more comes first: a demanded query, then the longer path without its labels.
        self._routes: Final = sorted(
            routes, key=lambda route: (-len(route.query), -len(route.pattern.pattern))
        )

    def find(
        self, method: str, raw_path: str, query: Mapping[str, list[str]]
    ) -> tuple[OperationModel, dict[str, str]]:
        """Return the operation and the labels in its address; raise ApiError for none."""
        for route in self._routes:
            if route.method != method or any(key not in query for key, _ in route.query):
                continue
            matched = route.pattern.fullmatch(raw_path.rstrip("/") or "/")
            if matched:
                texts = map(unquote, matched.groups())
                return route.operation, dict(zip(route.labels, texts, strict=True))
        raise ApiError("UnknownOperationException", f"No operation is at {raw_path}.", NOT_FOUND)


def _route(operation: OperationModel) -> Route:
    path, _, query = operation.http["requestUri"].partition("?")
    labels: list[str] = []
    pieces: list[str] = []
    end = 0
    path = path.rstrip("/") or "/"
    for found in LABEL.finditer(path):
        labels.append(found[1])
        pieces += [re.escape(path[end : found.start()]), "(.+)" if found[2] else "([^/]+)"]
        end = found.end()
    pattern = "".join([*pieces, re.escape(path[end:])])
    demanded = tuple(parse_qsl(query, keep_blank_values=True))
    method = operation.http.get("method", "POST")
    return Route(operation, method, re.compile(pattern), tuple(labels), demanded)

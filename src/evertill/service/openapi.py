"""The OpenAPI 3.1 document, generated from the routes, the typed bodies and the table of errors.

The file that is served and committed is `assets/openapi.json`; a test holds it to be what is
generated here, so the document cannot say what the service does not do.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

import evertill
from evertill.domain import errors, problems
from evertill.domain.idempotency import KEY_LENGTH_MAX
from evertill.domain.problems import Problem
from evertill.service import docs, metrics
from evertill.service.exchange import JSON, PROBLEM_JSON
from evertill.service.models import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, Readiness
from evertill.service.operations import OPERATIONS, TAGS, Errors
from evertill.service.routes import ROUTES, Route

Json = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{name}"
_DESCRIPTION: Final = """\
Amounts are integers of the currency's minor units: `1099` of `USD` is 10.99 dollars.

Every operation that moves money needs an `Idempotency-Key`. The same key with the same body is
answered with the same bytes and `Idempotent-Replayed: true`, for 7 days, and never moves money
twice. After a timeout, a 5xx, or a 409 `key_in_flight`, send the same request with the same key.

Errors are `application/problem+json` (RFC 9457); branch on `code`.
"""
_UNAUTHENTICATED: Final[Errors] = (errors.MalformedRequest, errors.InternalError)
_AUTHENTICATED: Final[Errors] = (
    errors.Unauthorized,
    errors.Forbidden,
    errors.Overloaded,
    errors.Unavailable,
)
_WITH_BODY: Final[Errors] = (
    errors.RequestTimeout,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidRequest,
    errors.OutcomeUnknown,
)
_WITH_KEY: Final[Errors] = (
    errors.IdempotencyKeyMissing,
    errors.IdempotencyKeyInvalid,
    errors.KeyReused,
    errors.KeyInFlight,
    errors.KeyExpired,
)
# Handlers that answer something else than JSON, and what.
_TEXTS: Final = {
    "metrics": (metrics.MEDIA_TYPE,),
    "docs": ("text/html; charset=utf-8",),
    "docs_asset": tuple(sorted(set(docs.MEDIA_TYPES.values()))),
}

# Lists are asked for by cursors: 16 and 24 bytes in base64.
_CURSOR_LENGTHS: Final = {"list_payments": 22, "list_events": 32}


def document() -> Json:
    """Return the document."""
    paths: dict[str, Json] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Evertill",
            "version": evertill.__version__,
            "summary": "A payment platform that keeps taking payments.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The host that serves this document."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"key": []}],
        "paths": paths,
        "components": _components(),
    }


def render() -> str:
    """Return the document's text, the same one every time."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def write() -> Path:
    """Write the file that is served, and return where it is."""
    path = Path(str(resources.files("evertill.service") / "assets" / "openapi.json"))
    path.write_text(render())
    return path


def _components() -> Json:
    kinds = [kind for route in ROUTES for kind in (route.body, route.answer) if kind is not None]
    _, schemas = msgspec.json.schema_components([*kinds, Problem], ref_template=_REFERENCE)
    return {
        "schemas": dict(sorted(schemas.items())),
        "securitySchemes": {
            "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key with the scope that the operation names.",
            }
        },
        "headers": {
            "X-Request-Id": _header("Names this request in the logs.", {"type": "string"}),
            "Idempotent-Replayed": _header(
                "`true` when this is the answer to an earlier request with the same key.",
                {"type": "string", "enum": ["true"]},
            ),
            "Retry-After": _header(
                "Seconds after which the same request may succeed.",
                {"type": "integer", "minimum": 1},
            ),
            "WWW-Authenticate": _header(
                "How to authenticate.", {"type": "string", "enum": ["Bearer"]}
            ),
        },
    }


def _header(text: str, schema: Json) -> Json:
    return {"description": text, "schema": schema}


def _operation(route: Route) -> Json:
    told = OPERATIONS[route.handler]
    scope = [f"Needs a key with the scope `{route.scope}`."] if route.scope else []
    operation: Json = {
        "operationId": told.operation_id,
        "summary": route.summary,
        "description": "\n\n".join([told.text, *scope]),
        "tags": [told.tag],
    }
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _request_body(route)
    operation["responses"] = _responses(route)
    if route.scope is None:
        operation["security"] = []
    return operation


def _parameters(route: Route) -> list[Json]:
    parameters = []
    if "{id}" in route.path:
        whose, prefix = ("webhook", "whe_") if "/webhooks/" in route.path else ("payment", "pay_")
        schema: Json = {"type": "string", "pattern": f"^{prefix}[0-9a-f]{{32}}$"}
        parameters.append(_parameter("id", "path", f"The {whose}'s id.", schema))
    if "{asset}" in route.path:
        schema = {"type": "string", "enum": sorted(docs.MEDIA_TYPES)}
        parameters.append(_parameter("asset", "path", "A file's name.", schema))
    if route.needs_key:
        text = (
            "Names this request: a retry carries the same key. Bare, or a quoted string as in "
            "draft-ietf-httpapi-idempotency-key-header; both forms mean the same key."
        )
        schema = {
            "type": "string",
            "minLength": 1,
            "maxLength": KEY_LENGTH_MAX,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        }
        named = _parameter("Idempotency-Key", "header", text, schema)
        parameters.append(named | {"example": "order-1001-1"})
    if route.handler in _CURSOR_LENGTHS:
        parameters += _page_parameters(_CURSOR_LENGTHS[route.handler])
    return parameters


def _page_parameters(cursor_length: int) -> list[Json]:
    limit: Json = {
        "type": "integer",
        "minimum": 1,
        "maximum": PAGE_SIZE_MAX,
        "default": PAGE_SIZE_DEFAULT,
    }
    cursor = {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{{cursor_length}}}$"}
    return [
        _parameter("limit", "query", "The most that a page may hold.", limit),
        _parameter("cursor", "query", "The `next_cursor` of an earlier page.", cursor),
    ]


def _parameter(name: str, place: str, text: str, schema: Json) -> Json:
    return {
        "name": name,
        "in": place,
        "required": place != "query",
        "description": text,
        "schema": schema,
    }


def _request_body(route: Route) -> Json:
    # What has no required member may be left out altogether.
    required = any(field.required for field in msgspec.structs.fields(route.body))
    return {"required": required, "content": {JSON: {"schema": _reference(route.body)}}}


def _reference(kind: type) -> Json:
    return {"$ref": _REFERENCE.format(name=kind.__name__)}


def _responses(route: Route) -> Json:
    responses = {str(route.status): _success(route)}
    by_status: dict[int, list[type[errors.EvertillError]]] = {}
    for kind in _errors(route):
        by_status.setdefault(int(problems.STATUSES[kind]), []).append(kind)
    for status in sorted(by_status):
        responses[str(status)] = _failure(by_status[status])
    if route.handler == "ready":
        responses["503"] = _unready()
    return responses


def _success(route: Route) -> Json:
    headers = ["X-Request-Id"]
    if route.needs_key:
        headers.append("Idempotent-Replayed")
    success: Json = {"description": _title(route), "headers": _headers(headers)}
    if route.answer is not None:
        success["content"] = {JSON: {"schema": _reference(route.answer)}}
    elif route.handler in _TEXTS:
        texts = _TEXTS[route.handler]
        success["content"] = {media_type: {"schema": {"type": "string"}} for media_type in texts}
    else:
        success["content"] = {JSON: {"schema": {"type": "object"}}}
    if links := OPERATIONS[route.handler].links:
        success["links"] = {
            name: {"operationId": name, "parameters": dict(parameters)}
            for name, parameters in links.items()
        }
    return success


def _title(route: Route) -> str:
    if route.answer is None:
        return route.summary
    return inspect.cleandoc(route.answer.__doc__).split("\n\n")[0]


def _failure(kinds: Collection[type[errors.EvertillError]]) -> Json:
    headers = ["X-Request-Id"]
    if any(kind in problems.RETRY_AFTER_S for kind in kinds):
        headers.append("Retry-After")
    if errors.Unauthorized in kinds:
        headers.append("WWW-Authenticate")
    lines = [f"- `{kind.code}`: {kind().args[0]}" for kind in kinds]
    content = {PROBLEM_JSON: {"schema": _reference(Problem)}}
    return {"description": "\n".join(lines), "headers": _headers(headers), "content": content}


def _unready() -> Json:
    return {
        "description": "This region cannot take a payment.",
        "headers": _headers(["X-Request-Id", "Retry-After"]),
        "content": {JSON: {"schema": _reference(Readiness)}},
    }


def _headers(names: list[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _errors(route: Route) -> Errors:
    """Return the errors that this operation can be answered with."""
    kinds = [*_UNAUTHENTICATED]
    if route.scope is not None:
        kinds += _AUTHENTICATED
    if route.body is not None:
        kinds += _WITH_BODY
    if "{id}" in route.path:
        kinds.append(errors.NotFound)
    if route.needs_key:
        kinds += _WITH_KEY
    return (*kinds, *OPERATIONS[route.handler].errors)

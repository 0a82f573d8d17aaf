"""Every address of the service: method, path, scope, and what serves it.

The OpenAPI document is generated from this table, so an address that is not in it does not exist.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from evertill.domain import payments, requests
from evertill.domain.errors import MethodNotAllowed, NotFound
from evertill.service import models

Scope = Literal["read", "write", "admin"]


class Route(NamedTuple):
    """One operation: `handler` names a method of the rooms that `app` puts together."""

    method: str
    path: str
    handler: str
    scope: Scope | None
    summary: str
    status: int
    answer: Any
    body: Any = None
    needs_key: bool = False


ROUTES: Final = (
    Route(
        "POST",
        "/v1/payments",
        "create",
        "write",
        "Take a payment",
        201,
        payments.Payment,
        models.NewPayment,
        needs_key=True,
    ),
    Route("GET", "/v1/payments", "list_payments", "read", "List payments", 200, models.PaymentPage),
    Route(
        "POST",
        "/v1/payments/batch",
        "create_batch",
        "write",
        "Take up to 1000 payments",
        200,
        models.BatchResults,
        models.NewBatch,
    ),
    Route(
        "GET", "/v1/payments/{id}", "get_payment", "read", "Get a payment", 200, payments.Payment
    ),
    Route(
        "POST",
        "/v1/payments/{id}/capture",
        "capture",
        "write",
        "Capture a payment",
        200,
        payments.Payment,
        models.NewCapture,
        needs_key=True,
    ),
    Route(
        "POST",
        "/v1/payments/{id}/cancel",
        "cancel",
        "write",
        "Cancel a payment",
        200,
        payments.Payment,
        models.NewCancel,
        needs_key=True,
    ),
    Route(
        "POST",
        "/v1/payments/{id}/refunds",
        "refund",
        "write",
        "Refund a payment",
        201,
        payments.Refund,
        models.NewRefund,
        needs_key=True,
    ),
    Route(
        "POST",
        "/v1/validations",
        "validate",
        "read",
        "Decide about a payment, not taking it",
        200,
        requests.Validation,
        requests.NewValidation,
    ),
    Route("GET", "/v1/balances", "list_balances", "read", "List balances", 200, models.Balances),
    Route("GET", "/v1/events", "list_events", "read", "List events", 200, models.EventPage),
    Route(
        "POST",
        "/v1/webhooks",
        "create_webhook",
        "admin",
        "Create a webhook endpoint",
        201,
        models.WebhookSecret,
        models.NewWebhook,
    ),
    Route("GET", "/v1/webhooks", "list_webhooks", "read", "List webhooks", 200, models.WebhookList),
    Route("GET", "/v1/webhooks/{id}", "get_webhook", "read", "Get a webhook", 200, models.Webhook),
    Route(
        "DELETE",
        "/v1/webhooks/{id}",
        "delete_webhook",
        "admin",
        "Delete a webhook endpoint",
        200,
        models.Webhook,
    ),
    Route(
        "POST",
        "/v1/webhooks/{id}/enable",
        "enable_webhook",
        "admin",
        "Enable a webhook endpoint again",
        200,
        models.Webhook,
    ),
    Route(
        "POST",
        "/v1/webhooks/{id}/secret",
        "rotate_webhook",
        "admin",
        "Rotate a webhook's secret",
        200,
        models.WebhookSecret,
    ),
    Route(
        "POST",
        "/v1/webhooks/{id}/redeliveries",
        "redeliver",
        "admin",
        "Deliver an event once more",
        202,
        models.Redelivery,
        models.NewRedelivery,
    ),
    Route(
        "GET",
        "/v1/webhooks/{id}/dead-letters",
        "list_dead_letters",
        "read",
        "List undelivered events",
        200,
        models.DeadLetterList,
    ),
    Route("GET", "/health", "health", None, "Is the process alive?", 200, models.Health),
    Route(
        "GET",
        "/ready",
        "ready",
        None,
        "Can this region take a payment now?",
        200,
        models.Readiness,
    ),
    Route("GET", "/metrics", "metrics", None, "Figures for Prometheus", 200, None),
    Route("GET", "/openapi.json", "openapi", None, "This document", 200, None),
    Route("GET", "/docs", "docs", None, "This document as a page", 200, None),
    Route("GET", "/docs/{asset}", "docs_asset", None, "What the page is made of", 200, None),
)


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        """Index `routes` by path; a path has at most one variable part."""
        self._fixed: dict[str, dict[str, Route]] = {}
        self._variable: dict[tuple[str, str], dict[str, Route]] = {}
        for route in routes:
            before, _, rest = route.path.partition("{")
            if rest:
                methods = self._variable.setdefault((before, rest.partition("}")[2]), {})
            else:
                methods = self._fixed.setdefault(route.path, {})
            methods[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, str | None]:
        """Return the route and the variable part; raise NotFound or MethodNotAllowed."""
        methods, variable = self._fixed.get(path), None
        if methods is None:
            methods, variable = self._find_variable(path)
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            taken = ", ".join([*methods, "HEAD"] if "GET" in methods else methods)
            message = f"{path} does not take {method[:16]}, only {taken}."
            raise MethodNotAllowed(message, allow=taken)
        return route, variable

    def _find_variable(self, path: str) -> tuple[dict[str, Route], str]:
        for (before, behind), methods in self._variable.items():
            variable = path[len(before) : len(path) - len(behind) or None]
            if path == before + variable + behind and variable and "/" not in variable:
                return methods, variable
        raise NotFound

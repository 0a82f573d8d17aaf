"""A health check asks for a path that something behind the load balancer may answer well."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.balancers import LISTENER_RULE, listeners_of
from evertill.checks.views.records import HEALTH_CHECK, balancers_behind

# A check succeeds with "a status code of 200 or greater and less than 400":
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
HEALTHY = ("2", "3")
FIXED = "fixed-response"


def check(model: Model) -> Iterator[Report]:
    """Find the action that each probed path meets: that of the first rule, or the listener's."""
    for probe in model.resources_of(HEALTH_CHECK):
        path = probe.text("HealthCheckConfig.ResourcePath", "/")
        kind = probe.text("HealthCheckConfig.Type") or ""
        port = probe.number("HealthCheckConfig.Port", 443 if kind.startswith("HTTPS") else 80)
        name = probe.get("HealthCheckConfig.FullyQualifiedDomainName")
        for balancer in balancers_behind(model, name) if path else ():
            for listener in listeners_of(model, balancer):
                if listener.number("Port") == port:
                    yield from _met(model, probe, listener, str(path))


def _met(model: Model, probe: Resource, listener: Resource, path: str) -> Iterator[Report]:
    rules = sorted(
        model.referrers(listener, LISTENER_RULE), key=lambda rule: rule.number("Priority") or 0
    )
    for holder, actions in [
        *((rule, rule.items("Actions")) for rule in rules if _takes(rule, path)),
        (listener, listener.items("DefaultActions")),
    ][:1]:
        for action in actions:
            status = as_text(child(child(action, "FixedResponseConfig"), "StatusCode"))
            is_fixed = as_text(child(action, "Type")) == FIXED
            if is_fixed and status and not status.startswith(HEALTHY):
                yield Report(
                    probe,
                    f"{holder.logical_id} answers {path} with {status} by itself, whatever runs "
                    "behind it: the check never succeeds.",
                    "Probe a path that is forwarded to what shall be healthy.",
                )


def _takes(rule: Resource, path: str) -> bool:
    """Tell whether a rule takes every request for `path`: its only condition is such a path."""
    conditions = rule.items("Conditions")
    return len(conditions) == 1 and any(
        fnmatchcase(path.partition("?")[0], pattern) for pattern in _patterns(conditions[0])
    )


def _patterns(condition: Value) -> Iterator[str]:
    if as_text(child(condition, "Field")) != "path-pattern":
        return
    for holder in (child(condition, "PathPatternConfig"), condition):
        values = child(holder, "Values")
        for value in values if isinstance(values, list) else []:
            text = as_text(value)
            if text is not None:
                yield text

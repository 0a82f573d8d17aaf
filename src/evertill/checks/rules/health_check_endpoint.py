"""A health check probes a name, port, protocol and certificate that the load balancer has."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.balancers import (
    SECURE,
    certificate_names,
    is_covered,
    is_public,
    listeners_of,
)
from evertill.checks.views.records import (
    HEALTH_CHECK,
    as_name,
    balancers_behind,
    is_missing,
)

# https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html
# Redirects count as healthy: "a status code of 200 or greater and less than 400".
PORTS = {"HTTP": 80, "HTTPS": 443, "HTTP_STR_MATCH": 80, "HTTPS_STR_MATCH": 443}


def check(model: Model) -> Iterator[Report]:
    """Follow each health check's name to its load balancers and look for the door it knocks at."""
    for probe in model.resources_of(HEALTH_CHECK):
        kind = probe.text("HealthCheckConfig.Type")
        name = as_name(probe.get("HealthCheckConfig.FullyQualifiedDomainName"))
        if name and is_missing(model, name):
            yield Report(
                probe,
                f"Its zone is written here and has no record {name}: the check never finds an "
                "address.",
                "Probe a name that leads to the load balancer, or write its record.",
            )
        port = probe.number("HealthCheckConfig.Port", PORTS.get(kind or ""))
        if kind not in PORTS or port is None:
            continue
        for balancer in balancers_behind(
            model, probe.get("HealthCheckConfig.FullyQualifiedDomainName")
        ):
            yield from _door(model, probe, balancer, (kind, port))


def _door(
    model: Model, probe: Resource, balancer: Resource, asked: tuple[str, float]
) -> Iterator[Report]:
    kind, port = asked
    listeners = listeners_of(model, balancer)
    ports = {listener.number("Port") for listener in listeners}
    door = next((item for item in listeners if item.number("Port") == port), None)
    if not is_public(balancer):
        yield Report(
            probe,
            f"Route 53 probes from the internet and {balancer.logical_id} is internal: the check "
            "never succeeds.",
            "Probe an internet-facing load balancer, or use a check on a CloudWatch alarm.",
        )
    elif door is None and listeners and None not in ports:
        yield Report(
            probe,
            f"{balancer.logical_id} has no listener on port {port:g}: the check never succeeds.",
            "Probe a port that the load balancer serves.",
        )
    elif door is not None:
        yield from _handshake(model, probe, door, secure=kind.startswith("HTTPS"))


def _handshake(model: Model, probe: Resource, door: Resource, *, secure: bool) -> Iterator[Report]:
    protocol = door.text("Protocol")
    if protocol is not None and (protocol in SECURE) != secure:
        yield Report(
            probe,
            f"The check speaks {'HTTPS' if secure else 'HTTP'} and the listener on its port "
            f"{protocol}: it never succeeds.",
            "Let the check's type and the listener's protocol agree.",
        )
        return
    name = as_name(probe.get("HealthCheckConfig.FullyQualifiedDomainName"))
    names = certificate_names(model, door) if secure else None
    if name and names and not is_covered(name, names):
        yield Report(
            probe,
            f"The certificate on that listener is for {', '.join(sorted(names))} and not for "
            f"{name}: clients that come by the probed name are turned away.",
            f"Add {name} to the certificate's alternative names, or probe a name that is on it.",
        )
    if not secure and any(a == "redirect" for a in _actions(door)):
        yield Report(
            probe,
            "The listener answers with a redirect, which Route 53 takes for healthy: the check "
            "succeeds whatever is behind it.",
            "Probe over HTTPS, where the service itself answers.",
        )


def _actions(listener: Resource) -> list[str | None]:
    return [
        listener.text(f"DefaultActions.{n}.Type")
        for n in range(len(listener.items("DefaultActions")))
    ]

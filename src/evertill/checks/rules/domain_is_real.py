"""A zone, a certificate or a record is for a domain that can be owned."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.balancers import CERTIFICATE
from evertill.checks.views.records import as_name

# https://www.rfc-editor.org/rfc/rfc2606
# Route 53 refuses some of them as reserved: DomainNameNotAvailable, InvalidDomainName.
RESERVED = ("test", "example", "invalid", "localhost", "example.com", "example.net", "example.org")
PLACES = {
    "AWS::Route53::HostedZone": ("Name",),
    CERTIFICATE: ("DomainName",),
    "AWS::Route53::RecordSet": ("Name",),
    "AWS::Route53::HealthCheck": ("HealthCheckConfig.FullyQualifiedDomainName",),
}


def check(model: Model) -> Iterator[Report]:
    """Look for the domains that are reserved for examples; private zones may use any."""
    for kind, paths in PLACES.items():
        for resource in model.resources_of(kind):
            zone = model.resource(resource.get("HostedZoneId"))
            if resource.has("VPCs") or (zone is not None and zone.has("VPCs")):
                continue
            for path in paths:
                name = as_name(resource.get(path))
                if name and any(name == end or name.endswith(f".{end}") for end in RESERVED):
                    yield Report(
                        resource,
                        f"{name} is reserved for examples and nobody can own it: no delegation and "
                        "no certificate will ever be good for it.",
                        "Use a domain of yours.",
                    )

"""TLS is served where 443 is open, with a certificate of the listener's own region."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import arn, child
from evertill.checks.findings import Report
from evertill.checks.views.balancers import BALANCER, LISTENER, SECURE, listeners_of
from evertill.checks.views.networks import groups, ingress_of, is_public

HTTPS_PORT = 443


def check(model: Model) -> Iterator[Report]:
    """Look at each load balancer's groups and listeners."""
    for balancer in model.resources_of(BALANCER):
        listeners = listeners_of(model, balancer)
        ports = {listener.number("Port") for listener in listeners}
        if listeners and None not in ports and HTTPS_PORT not in ports:
            yield from _closed(model, balancer)
    for listener in model.resources_of(LISTENER):
        yield from _plain(listener)
        yield from _certified(listener)


def _closed(model: Model, balancer: Resource) -> Iterator[Report]:
    for group in groups(model, balancer.items("SecurityGroups")) or []:
        for opening in ingress_of(model, group):
            if opening.first == HTTPS_PORT == opening.last and is_public(opening):
                yield Report(
                    balancer,
                    "443 is open to the internet and nothing listens there: clients that are told "
                    "to use TLS cannot, and the others go in the clear.",
                    "Add an HTTPS listener on 443.",
                )
                return


def _plain(listener: Resource) -> Iterator[Report]:
    # TCP may be right: a network load balancer passes TLS through to its targets.
    if listener.number("Port") == HTTPS_PORT and listener.text("Protocol") == "HTTP":
        yield Report(
            listener,
            "Port 443 speaks plain HTTP: clients fail their handshake, or send cards and keys in "
            "the clear.",
            "Set Protocol to HTTPS and name a certificate.",
        )


def _certified(listener: Resource) -> Iterator[Report]:
    if listener.text("Protocol") not in SECURE:
        return
    if listener.get("Certificates") in (None, []):
        yield Report(
            listener,
            "A TLS listener without a certificate cannot be created.",
            "Name a certificate.",
        )
    for item in listener.items("Certificates"):
        named = arn(child(item, "CertificateArn"))
        region = named.region if named else None
        if isinstance(region, str) and listener.region not in {None, region}:
            yield Report(
                listener,
                f"Its certificate is in {region} and the listener in {listener.region}: it cannot "
                "be created.",
                "Issue a certificate in the listener's region.",
            )

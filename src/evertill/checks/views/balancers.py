"""Load balancers with their listeners, target groups and the names on their certificates.

It is separate because the way from a name to a container runs through here for many rules.
"""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, references_in
from evertill.assembly.model import as_text, child

BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
LISTENER_RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
LISTENER_CERTIFICATE = "AWS::ElasticLoadBalancingV2::ListenerCertificate"
TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
CERTIFICATE = "AWS::CertificateManager::Certificate"
SECURE = {"HTTPS", "TLS"}


def listeners_of(model: Model, balancer: Resource) -> list[Resource]:
    """Return the listeners of a load balancer."""
    return [
        listener
        for listener in model.referrers(balancer, LISTENER)
        if model.resource(listener.get("LoadBalancerArn")) == balancer
    ]


def routes_to(model: Model, group: Resource) -> tuple[Resource, ...]:
    """Return the listeners and listener rules that send to a target group."""
    return model.referrers(group, LISTENER, LISTENER_RULE)


def listener_of(model: Model, route: Resource) -> Resource | None:
    """Return the listener of a listener rule, a listener itself."""
    return route if route.type == LISTENER else model.resource(route.get("ListenerArn"))


def balancers_of(model: Model, group: Resource) -> Iterator[Resource]:
    """Give the load balancers that send to a target group."""
    for route in routes_to(model, group):
        listener = listener_of(model, route)
        balancer = model.resource(listener.get("LoadBalancerArn")) if listener else None
        if balancer is not None:
            yield balancer


def target_groups_of(model: Model, listener: Resource) -> Iterator[Resource]:
    """Give the target groups that a listener sends to, by itself or by its rules."""
    routes = [listener, *model.referrers(listener, LISTENER_RULE)]
    for reference in dict.fromkeys(r for route in routes for r in references_in(route.properties)):
        target = model.resource(reference)
        if target is not None and target.type == TARGET_GROUP:
            yield target


def certificate_names(model: Model, listener: Resource) -> set[str] | None:
    """Return the names that a listener's certificates are good for, None when not all are known."""
    listed = listener.items("Certificates")
    for extra in model.referrers(listener, LISTENER_CERTIFICATE):
        listed = [*listed, *extra.items("Certificates")]
    names: set[str] = set()
    for item in listed:
        certificate = model.resource(child(item, "CertificateArn"))
        if certificate is None or certificate.type != CERTIFICATE:
            return None
        alternatives = certificate.items("SubjectAlternativeNames")
        for name in (certificate.get("DomainName"), *alternatives):
            known = as_text(name)
            if known is None:
                return None
            names.add(known.lower().rstrip("."))
    return names or None


def is_covered(name: str, names: set[str]) -> bool:
    """Tell whether a certificate for `names` is good for `name`; a wildcard stands for one label.

    https://docs.aws.amazon.com/acm/latest/userguide/acm-concepts.html
    """
    return name in names or f"*.{name.partition('.')[2]}" in names


def is_public(balancer: Resource) -> bool:
    """Tell whether a load balancer faces the internet, which is the default."""
    return balancer.text("Scheme", "internet-facing") == "internet-facing"

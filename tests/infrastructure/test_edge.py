"""The edge of a region: what is served to the internet, on which terms, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.assembly import Assembly

REGIONS = ("us-east-1", "us-east-2")
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
TARGETS = "AWS::ElasticLoadBalancingV2::TargetGroup"
ACL = "AWS::WAFv2::WebACL"


def listener(assembly: Assembly, region: str, port: int) -> dict[str, Any]:
    """Return the listener on a port."""
    listeners = assembly.properties(f"service-{region}", LISTENER)
    (found,) = [listener for listener in listeners if listener["Port"] == port]
    return found


def rules(assembly: Assembly) -> dict[str, dict[str, Any]]:
    """Return the firewall's rules by name."""
    acl = assembly.only("service-us-east-1", ACL)
    return {rule["Name"]: rule for rule in acl["Rules"]}


@pytest.mark.parametrize("region", REGIONS)
def test_tls_is_served_on_443_with_a_certificate_for_both_names(
    assembly: Assembly, region: str
) -> None:
    https = listener(assembly, region, 443)
    assert "HTTPS" == https["Protocol"]
    # TLS 1.2 and 1.3, restricted to suites without CBC.
    assert https["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res")
    certificate = assembly.only(f"service-{region}", "AWS::CertificateManager::Certificate")
    assert certificate["DomainName"].startswith(f"{region}.payments.")
    (front,) = certificate["SubjectAlternativeNames"]
    assert f"{region}.{front}" == certificate["DomainName"]


@pytest.mark.parametrize("region", REGIONS)
def test_port_80_only_redirects(assembly: Assembly, region: str) -> None:
    (action,) = listener(assembly, region, 80)["DefaultActions"]
    redirect = {"Port": "443", "Protocol": "HTTPS", "StatusCode": "HTTP_301"}
    assert ("redirect", redirect) == (action["Type"], action["RedirectConfig"])


@pytest.mark.parametrize("region", REGIONS)
def test_figures_and_documentation_are_not_on_the_internet(assembly: Assembly, region: str) -> None:
    rules = assembly.properties(f"service-{region}", RULE)
    # Before every other rule.
    rule = min(rules, key=lambda rule: int(rule["Priority"]))
    (condition,) = rule["Conditions"]
    paths = ["/metrics", "/metrics/*", "/docs", "/docs/*"]
    assert paths == condition["PathPatternConfig"]["Values"]
    (action,) = rule["Actions"]
    assert ("fixed-response", "404") == (
        action["Type"],
        action["FixedResponseConfig"]["StatusCode"],
    )


@pytest.mark.parametrize("region", REGIONS)
def test_targets_are_asked_the_shallow_question(assembly: Assembly, region: str) -> None:
    groups = assembly.properties(f"service-{region}", TARGETS)
    (targets,) = [group for group in groups if group["TargetType"] == "ip"]
    assert ("/health", "8080", "HTTP") == (
        targets["HealthCheckPath"],
        targets["HealthCheckPort"],
        targets["HealthCheckProtocol"],
    )
    assert (2, 3) == (targets["HealthyThresholdCount"], targets["UnhealthyThresholdCount"])
    attributes = {a["Key"]: a["Value"] for a in targets["TargetGroupAttributes"]}
    assert "30" == attributes["deregistration_delay.timeout_seconds"]


@pytest.mark.parametrize("region", REGIONS)
def test_the_balancer_is_guarded_and_faces_the_internet_in_three_zones(
    assembly: Assembly, region: str
) -> None:
    balancer = assembly.only(f"service-{region}", BALANCER)
    attributes = {a["Key"]: a["Value"] for a in balancer["LoadBalancerAttributes"]}
    for name in (
        "deletion_protection.enabled",
        "routing.http.drop_invalid_header_fields.enabled",
        "access_logs.s3.enabled",
        "zonal_shift.config.enabled",
    ):
        assert "true" == attributes[name], name
    assert "internet-facing" == balancer["Scheme"]
    assert 3 == len(balancer["Subnets"])


def test_the_balancer_closes_idle_connections_before_the_service_does(dev: Assembly) -> None:
    from evertill.service.http import KEEP_ALIVE_S  # noqa: PLC0415 - the other half of a contract

    balancer = dev.only("service-us-east-1", BALANCER)
    attributes = {a["Key"]: a["Value"] for a in balancer["LoadBalancerAttributes"]}
    assert int(attributes["idle_timeout.timeout_seconds"]) < KEEP_ALIVE_S


def test_the_hidden_paths_are_the_services_own(dev: Assembly) -> None:
    from evertill.service.routes import ROUTES  # noqa: PLC0415 - the other half of a contract

    paths = {route.path for route in ROUTES}
    assert {"/metrics", "/docs", "/health", "/ready", "/v1/validations"} < paths
    assert dev.stacks()


@pytest.mark.parametrize("region", REGIONS)
def test_the_firewall_stands_before_the_balancer_and_is_logged_without_keys(
    assembly: Assembly, region: str
) -> None:
    stack = f"service-{region}"
    association = assembly.only(stack, "AWS::WAFv2::WebACLAssociation")
    assert next(iter(assembly.resources(stack, BALANCER))) == association["ResourceArn"]["Ref"]
    logging = assembly.only(stack, "AWS::WAFv2::LoggingConfiguration")
    assert [{"SingleHeader": {"Name": "authorization"}}] == logging["RedactedFields"]


def test_a_batch_that_is_longer_than_the_firewall_sees_is_let_through(assembly: Assembly) -> None:
    group = rules(assembly)["AWSManagedRulesCommonRuleSet"]["Statement"]
    overrides = group["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    counted = {o["Name"] for o in overrides if o["ActionToUse"] == {"Count": {}}}
    assert {"SizeRestrictions_BODY", "NoUserAgent_HEADER"} == counted


def test_merchants_are_limited_by_key_far_below_what_an_address_may_send(
    assembly: Assembly,
) -> None:
    limits = {
        name: rule["Statement"]["RateBasedStatement"]
        for name, rule in rules(assembly).items()
        if "RateBasedStatement" in rule["Statement"]
    }
    assert {"per-key", "anonymous", "per-address"} == set(limits)
    keys = limits["per-key"]
    assert "CUSTOM_KEYS" == keys["AggregateKeyType"]
    assert "authorization" == keys["CustomKeys"][0]["Header"]["Name"]
    assert limits["anonymous"]["Limit"] < keys["Limit"] < limits["per-address"]["Limit"]


def test_health_checks_of_dns_are_never_limited(assembly: Assembly) -> None:
    for name in ("anonymous", "per-address"):
        statement = rules(assembly)[name]["Statement"]["RateBasedStatement"]
        scope = statement["ScopeDownStatement"]
        conditions = scope.get("AndStatement", {"Statements": [scope]})["Statements"]
        negated = [c["NotStatement"]["Statement"] for c in conditions]
        paths = [
            n["ByteMatchStatement"]["SearchString"] for n in negated if "ByteMatchStatement" in n
        ]
        assert ["/ready"] == paths

"""What templates say of load balancers and DNS becomes specifications, or is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evertill.twin.plan.balancer_specs import Condition, FixedResponse, Forward, Redirect
from evertill.twin.plan.balancers import (
    BalancerUnsupported,
    Balancing,
    codes_of,
    plan_balancers,
)
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.dns import Dns, DnsUnsupported, plan_dns
from evertill.twin.plan.dns_specs import AliasTarget, Doors
from evertill.twin.plan.doors import doors_of
from evertill.twin.plan.groups import SecurityGroups
from evertill.twin.plan.listeners import ListenerUnsupported
from evertill.twin.plan.places import places_of
from evertill.twin.plan.reading import read_model

ELB = "AWS::ElasticLoadBalancingV2::"
R53 = "AWS::Route53::"
GROUP = {"Ref": "Web"}
FORWARD = [{"Type": "forward", "TargetGroupArn": GROUP}]


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def template() -> dict[str, dict[str, Any]]:
    ingress = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}]
    return {
        "Net": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"),
        "Door": resource(
            "AWS::EC2::SecurityGroup", VpcId={"Ref": "Net"}, SecurityGroupIngress=ingress
        ),
        "A": resource("AWS::EC2::Subnet", AvailabilityZone="us-east-1a"),
        "B": resource("AWS::EC2::Subnet", AvailabilityZone="us-east-1b"),
        "Balancer": resource(
            f"{ELB}LoadBalancer",
            Name="front",
            Subnets=[{"Ref": "A"}, {"Ref": "B"}],
            SecurityGroups=[{"Fn::GetAtt": ["Door", "GroupId"]}],
            LoadBalancerAttributes=[
                {"Key": "idle_timeout.timeout_seconds", "Value": "120"},
                {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
            ],
        ),
        "Web": resource(
            f"{ELB}TargetGroup",
            Port=8080,
            Protocol="HTTP",
            TargetType="ip",
            HealthCheckPath="/healthy",
            HealthCheckIntervalSeconds=15,
            HealthCheckPort="traffic-port",
            Matcher={"HttpCode": "200-299"},
            TargetGroupAttributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "20"}],
        ),
        "Secure": resource(
            f"{ELB}Listener",
            LoadBalancerArn={"Ref": "Balancer"},
            Port=443,
            Protocol="HTTPS",
            Certificates=[{"CertificateArn": {"Ref": "Certificate"}}],
            DefaultActions=FORWARD,
        ),
        "Certificate": resource(
            "AWS::CertificateManager::Certificate",
            DomainName="pay.example.net",
            SubjectAlternativeNames=["www.example.net"],
        ),
    }


def plan(folder: Path, resources: dict[str, Any]) -> tuple[Balancing, Dns, Bindings]:
    document = msgspec.json.encode({"Resources": resources})
    (folder / "app-us-east-1.template.json").write_bytes(document)
    model = read_model(folder)
    bindings = Bindings(model)
    guard = SecurityGroups(model).may_connect
    return (
        plan_balancers(model, bindings, places_of(model), guard),
        plan_dns(model, bindings),
        bindings,
    )


def test_a_load_balancer_has_its_zones_certificates_and_attributes(tmp_path: Path) -> None:
    balancing, _, _ = plan(tmp_path, template())
    (front,) = balancing.balancers
    assert ("us-east-1a", "us-east-1b") == front.zones
    assert (120, True) == (front.idle_timeout_s, front.drops_invalid_headers)
    (secure,) = front.listeners
    assert (("pay.example.net", "www.example.net"),) == secure.certificates
    assert secure.refusal is None


def test_a_target_group_has_its_check(tmp_path: Path) -> None:
    (web,) = plan(tmp_path, template())[0].groups
    assert ("/healthy", 15, None, 5, 2) == (
        web.check.path,
        web.check.interval_s,
        web.check.port,
        web.check.healthy_count,
        web.check.unhealthy_count,
    )
    assert ("200-299", 20) == (web.check.matcher, web.deregistration_delay_s)


def test_a_listener_that_no_security_group_opens_is_told(tmp_path: Path) -> None:
    resources = template()
    resources["Door"]["Properties"]["SecurityGroupIngress"] = []
    ((secure,),) = (b.listeners for b in plan(tmp_path, resources)[0].balancers)
    assert secure.refusal is not None
    assert "lets tcp 443 in from everyone" in secure.refusal


@pytest.mark.parametrize(
    ("config", "condition"),
    [
        (
            {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a/*"]}},
            Condition("path", ("/a/*",)),
        ),
        ({"Field": "path-pattern", "Values": ["/b"]}, Condition("path", ("/b",))),
        (
            {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.net"]}},
            Condition("host", ("*.example.net",)),
        ),
        (
            {
                "Field": "http-header",
                "HttpHeaderConfig": {"HttpHeaderName": "X-Kind", "Values": ["new"]},
            },
            Condition("header", ("new",), "X-Kind"),
        ),
        (
            {
                "Field": "query-string",
                "QueryStringConfig": {"Values": [{"Key": "v", "Value": "2"}, {"Value": "x"}]},
            },
            Condition("query", ("v=2", "x")),
        ),
    ],
)
def test_conditions(tmp_path: Path, config: dict[str, Any], condition: Condition) -> None:
    resources = template()
    resources["Rule"] = resource(
        f"{ELB}ListenerRule",
        ListenerArn={"Ref": "Secure"},
        Priority=7,
        Conditions=[config],
        Actions=FORWARD,
    )
    (front,) = plan(tmp_path, resources)[0].balancers
    (rule,) = front.listeners[0].rules
    assert (7, (condition,)) == (rule.priority, rule.conditions)


def test_actions(tmp_path: Path) -> None:
    resources = template()
    other = {**resources["Web"], "Properties": {**resources["Web"]["Properties"]}}
    resources["Other"] = other
    actions: list[dict[str, Any]] = [
        {
            "Type": "forward",
            "ForwardConfig": {
                "TargetGroups": [
                    {"TargetGroupArn": GROUP, "Weight": 9},
                    {"TargetGroupArn": {"Ref": "Other"}, "Weight": 1},
                ]
            },
        },
        {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302", "Host": "new"}},
        {
            "Type": "fixed-response",
            "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "gone"},
        },
    ]
    for number, action in enumerate(actions, start=1):
        resources[f"Rule{number}"] = resource(
            f"{ELB}ListenerRule",
            ListenerArn={"Ref": "Secure"},
            Priority=number,
            Conditions=[{"Field": "path-pattern", "Values": ["/x"]}],
            Actions=[action],
        )
    (front,) = plan(tmp_path, resources)[0].balancers
    first, second, third = (rule.action for rule in front.listeners[0].rules)
    assert isinstance(first, Forward)
    assert [9, 1] == [weight for _, weight in first.groups]
    assert Redirect(status=302, host="new") == second
    assert FixedResponse(status=404, content_type="text/plain", body="gone") == third


def change(resources: dict[str, Any], name: str, **properties: Any) -> None:
    resources[name]["Properties"].update(properties)


@pytest.mark.parametrize(
    ("spoil", "error", "named"),
    [
        (lambda r: change(r, "Balancer", Type="network"), BalancerUnsupported, "network"),
        (lambda r: change(r, "Web", TargetType="instance"), BalancerUnsupported, "instance"),
        (lambda r: change(r, "Secure", Certificates=[]), BalancerUnsupported, "no certificate"),
        (
            lambda r: change(r, "Secure", DefaultActions=[{"Type": "authenticate-oidc"}]),
            ListenerUnsupported,
            "authenticate-oidc",
        ),
        (
            lambda r: r.update(
                Plain=resource(
                    f"{ELB}Listener",
                    LoadBalancerArn={"Ref": "Balancer"},
                    Port=8443,
                    Protocol="HTTP",
                    DefaultActions=FORWARD,
                )
            ),
            BalancerUnsupported,
            "443 and 8443, which are one port here",
        ),
    ],
)
def test_what_the_twin_cannot_do_is_refused_by_name(
    tmp_path: Path,
    spoil: Callable[[dict[str, Any]], None],
    error: type[Exception],
    named: str,
) -> None:
    resources = template()
    spoil(resources)
    with pytest.raises(error, match=named):
        plan(tmp_path, resources)


def test_codes() -> None:
    assert ((200, 200), (204, 299)) == codes_of("200, 204-299")


def with_dns(**record: Any) -> dict[str, Any]:
    resources = template()
    resources["Zone"] = resource(f"{R53}HostedZone", Name="example.net")
    resources["Check"] = resource(
        f"{R53}HealthCheck",
        HealthCheckConfig={
            "Type": "HTTPS",
            "FullyQualifiedDomainName": {"Fn::GetAtt": ["Balancer", "DNSName"]},
            "ResourcePath": "ready",
        },
    )
    resources["Record"] = resource(
        f"{R53}RecordSet",
        **{
            "Name": "Pay.example.net",
            "Type": "A",
            "HostedZoneName": "example.net.",
            "SetIdentifier": "one",
            "Failover": "PRIMARY",
            "HealthCheckId": {"Fn::GetAtt": ["Check", "HealthCheckId"]},
            "AliasTarget": {
                "DNSName": {
                    "Fn::Join": [".", ["dualstack", {"Fn::GetAtt": ["Balancer", "DNSName"]}]]
                },
                "HostedZoneId": {"Fn::GetAtt": ["Balancer", "CanonicalHostedZoneID"]},
                "EvaluateTargetHealth": True,
            },
            **record,
        },
    )
    return resources


def test_a_record_stands_in_its_zone_and_an_alias_names_the_load_balancer(tmp_path: Path) -> None:
    balancing, dns, _ = plan(tmp_path, with_dns())
    (zone,) = dns.zones
    (record,) = zone.records
    (check,) = dns.checks
    front = balancing.balancers[0]
    assert AliasTarget(front.dns_name, "Z35SXDOTRQ7X7K", evaluates_health=True) == record.alias
    assert ("pay.example.net.", "PRIMARY", check.id) == (
        record.name,
        record.failover,
        record.health_check,
    )
    assert (443, "/ready", True, front.dns_name) == (
        check.port,
        check.path,
        check.sends_server_name,
        check.domain_name,
    )


@pytest.mark.parametrize("policy", ["Region", "GeoLocation", "CidrRoutingConfig"])
def test_a_policy_that_needs_the_clients_place_is_refused(tmp_path: Path, policy: str) -> None:
    with pytest.raises(DnsUnsupported, match=policy):
        plan(tmp_path, with_dns(**{policy: "us-east-1"}))


def test_a_record_of_a_zone_that_is_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DnsUnsupported, match="no template makes"):
        plan(tmp_path, with_dns(HostedZoneName="other.net."))


def test_the_front_door_is_the_name_that_fails_over_and_every_port_that_is_open(
    tmp_path: Path,
) -> None:
    balancing, dns, _ = plan(tmp_path, with_dns())
    assert Doors("pay.example.net", ((8443, 443),)) == doors_of(dns, balancing)


def test_without_a_record_the_front_door_is_the_load_balancers_own_name(tmp_path: Path) -> None:
    balancing, dns, _ = plan(tmp_path, template())
    doors = doors_of(dns, balancing)
    assert doors is not None
    assert balancing.balancers[0].dns_name == doors.name


def test_without_a_load_balancer_there_is_no_front_door(tmp_path: Path) -> None:
    balancing, dns, _ = plan(tmp_path, {"Net": resource("AWS::EC2::VPC")})
    assert doors_of(dns, balancing) is None

"""boto3 asks the twin's load balancers and DNS over HTTP, as recovery and an operator do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.network import GROUP, ZONES, Network, network, plain, until
from tests.support.twin import api, ask, client, site_of_the_test

from evertill.twin.api.elbv2 import LoadBalancing
from evertill.twin.api.handled import Handled
from evertill.twin.api.route53 import Dns
from evertill.twin.parts.health_checker import HealthChecker
from evertill.twin.parts.hosted_zones import HostedZones
from evertill.twin.plan.balancer_specs import Condition, FixedResponse, Forward, Redirect, Rule
from evertill.twin.plan.dns_specs import AliasTarget, CheckSpec, Record, ZoneSpec

RULE = Rule("arn:rule", 7, (Condition("path", ("/x",)),), FixedResponse(status=404))
MOVED = Rule(
    "arn:moved",
    9,
    (Condition("query", ("a=b",)), Condition("header", ("v",), "X-Name")),
    Redirect(status=301, protocol="HTTPS"),
)


def test_load_balancers_are_described() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group()
            spec = net.spec(plain(Forward(((GROUP, 1),)), RULE, MOVED))
            async with net.balancer(spec) as balancer, net.target() as target:
                await until(lambda: group.count("healthy") == 1)
                endpoint = Handled("elbv2", LoadBalancing([balancer], [group]))
                with site_of_the_test() as site:
                    async with api({"elasticloadbalancing": endpoint}, site) as server:
                        elb = client("elbv2", server.url)
                        await _look(elb, net, target.host)

    async def _look(elb: Any, net: Network, host: str) -> None:
        (front,) = (await ask(elb.describe_load_balancers, Names=["alb"]))["LoadBalancers"]
        assert "alb-1.us-east-1.elb.amazonaws.com" == front["DNSName"]
        assert list(ZONES) == [zone["ZoneName"] for zone in front["AvailabilityZones"]]
        with pytest.raises(ClientError, match="LoadBalancerNotFound"):
            await ask(elb.describe_load_balancers, Names=["other"])
        arn = front["LoadBalancerArn"]
        (listener,) = (await ask(elb.describe_listeners, LoadBalancerArn=arn))["Listeners"]
        assert ("HTTP", 80) == (listener["Protocol"], listener["Port"])
        rules = (await ask(elb.describe_rules, ListenerArn=listener["ListenerArn"]))["Rules"]
        assert ["7", "9", "default"] == [rule["Priority"] for rule in rules]
        query = rules[1]["Conditions"][0]["QueryStringConfig"]["Values"]
        assert [{"Key": "a", "Value": "b"}] == query
        found = await ask(elb.describe_target_groups, LoadBalancerArn=arn)
        (group,) = found["TargetGroups"]
        assert ("web", "/health", 5) == (
            group["TargetGroupName"],
            group["HealthCheckPath"],
            group["HealthCheckIntervalSeconds"],
        )
        await _health(elb, net, host)

    async def _health(elb: Any, net: Network, host: str) -> None:
        told = await ask(elb.describe_target_health, TargetGroupArn=GROUP)
        (one,) = told["TargetHealthDescriptions"]
        expected = {"Id": host, "Port": 8080, "AvailabilityZone": ZONES[0]}
        assert (expected, "healthy") == (one["Target"], one["TargetHealth"]["State"])
        await ask(elb.deregister_targets, TargetGroupArn=GROUP, Targets=[{"Id": host}])
        told = await ask(elb.describe_target_health, TargetGroupArn=GROUP)
        health = told["TargetHealthDescriptions"][0]["TargetHealth"]
        assert ("draining", "Target.DeregistrationInProgress") == (
            health["State"],
            health["Reason"],
        )
        new = {"Id": host, "Port": 8080, "AvailabilityZone": ZONES[1]}
        await ask(elb.register_targets, TargetGroupArn=GROUP, Targets=[new])
        await until(lambda: net.groups[GROUP].count("healthy") == 1)

    asyncio.run(story())


class NoBalancers:
    def addresses(self, dns_name: str) -> Sequence[str] | None:
        return None if dns_name else ()

    def is_healthy(self, dns_name: str) -> bool:
        raise NotImplementedError


async def nothing(name: str) -> tuple[Sequence[tuple[str, str]], int]:
    assert name
    return (), 5


def dns(story: Callable[[Any, Dns, HostedZones], Awaitable[None]]) -> None:
    async def run() -> None:
        async with network() as net:
            check = CheckSpec(id="c", kind="HTTPS", domain_name="pay.example.net", port=443)
            checker = HealthChecker(
                [check],
                resolve=nothing,
                alarm_state=lambda _region, _name: "OK",
                clock=net.clock,
                links=net.links,
                timeline=net.timeline,
                metrics=net.metrics,
            )
            records = (
                Record(
                    name="pay.example.net.",
                    type="CNAME",
                    ttl_s=30,
                    values=("east.example.net",),
                    failover="PRIMARY",
                    set_identifier="east",
                    health_check="c",
                ),
                Record(name="a.example.net.", type="A", alias=AliasTarget("b.example.net", "Z1")),
                Record(name="b.example.net.", type="A", ttl_s=5, values=("127.0.0.1",)),
            )
            zones = HostedZones(
                [ZoneSpec(id="Z1", name="example.net.", records=records)],
                is_passing=checker.is_passing,
                balancers=NoBalancers(),
            )
            plane = Dns(zones, checker, lambda: datetime.now(UTC))
            with site_of_the_test() as site:
                async with api({"route53": Handled("route53", plane)}, site) as server:
                    await checker.start()
                    try:
                        await until(lambda: checker.observations("c"))
                        await story(client("route53", server.url), plane, zones)
                    finally:
                        await checker.stop()

    asyncio.run(run())


def test_zones_records_and_checks_are_described() -> None:
    async def story(route53: Any, _plane: Dns, _zones: HostedZones) -> None:
        (zone,) = (await ask(route53.list_hosted_zones))["HostedZones"]
        assert ("/hostedzone/Z1", "example.net.", 5) == (
            zone["Id"],
            zone["Name"],
            zone["ResourceRecordSetCount"],
        )
        told = await ask(route53.list_resource_record_sets, HostedZoneId="Z1")
        by_name = {r["Name"]: r for r in told["ResourceRecordSets"] if r["Type"] in {"A", "CNAME"}}
        assert ("PRIMARY", "c", 30) == (
            by_name["pay.example.net."]["Failover"],
            by_name["pay.example.net."]["HealthCheckId"],
            by_name["pay.example.net."]["TTL"],
        )
        assert "b.example.net." == by_name["a.example.net."]["AliasTarget"]["DNSName"]
        (check,) = (await ask(route53.list_health_checks))["HealthChecks"]
        assert "pay.example.net" == check["HealthCheckConfig"]["FullyQualifiedDomainName"]
        status = await ask(route53.get_health_check_status, HealthCheckId="c")
        report = status["HealthCheckObservations"][0]["StatusReport"]
        assert report["Status"].startswith("Failure: DNS resolution failed")
        with pytest.raises(ClientError, match="NoSuchHealthCheck"):
            await ask(route53.get_health_check, HealthCheckId="other")
        answer = await ask(
            route53.test_dns_answer, HostedZoneId="Z1", RecordName="a.example.net", RecordType="A"
        )
        assert ["127.0.0.1"] == answer["RecordData"]

    dns(story)


def test_a_change_of_records_is_answered_at_once_and_all_or_none_of_it_is_made() -> None:
    async def story(route53: Any, _plane: Dns, zones: HostedZones) -> None:
        record = {
            "Name": "new.example.net",
            "Type": "A",
            "TTL": 9,
            "ResourceRecords": [{"Value": "127.0.0.7"}],
        }
        changed = await ask(
            route53.change_resource_record_sets,
            HostedZoneId="Z1",
            ChangeBatch=batch("CREATE", record),
        )
        assert "INSYNC" == changed["ChangeInfo"]["Status"]
        assert (("127.0.0.7",), 9) == zones.addresses("new.example.net")
        both = {
            "Changes": [
                *batch("DELETE", record)["Changes"],
                *batch("CREATE", {**record, "Name": "b.example.net"})["Changes"],
            ]
        }
        with pytest.raises(ClientError, match="already exists"):
            await ask(route53.change_resource_record_sets, HostedZoneId="Z1", ChangeBatch=both)
        assert (("127.0.0.7",), 9) == zones.addresses("new.example.net")

    dns(story)


def test_a_broken_control_plane_refuses_everything_and_dns_goes_on() -> None:
    async def story(route53: Any, plane: Dns, zones: HostedZones) -> None:
        plane.is_broken = True
        with pytest.raises(ClientError, match="ServiceUnavailable"):
            await ask(route53.list_hosted_zones)
        assert (("127.0.0.1",), 5) == zones.addresses("a.example.net")

    dns(story)


def batch(action: str, record: dict[str, Any]) -> dict[str, Any]:
    return {"Changes": [{"Action": action, "ResourceRecordSet": record}]}

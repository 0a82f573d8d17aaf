"""The names in front: they move when, and only when, the other region can write."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.assembly import Assembly

REGIONS = ("us-east-1", "us-east-2")
DNS = "dns-us-east-1"
RECORD = "AWS::Route53::RecordSet"
CHECK = "AWS::Route53::HealthCheck"


def records(assembly: Assembly) -> dict[str, dict[str, Any]]:
    """Return the records in front by their role."""
    return {record["Failover"]: record for record in assembly.properties(DNS, RECORD)}


@pytest.mark.parametrize("region", REGIONS)
def test_a_regions_name_is_an_alias_of_its_own_balancer(assembly: Assembly, region: str) -> None:
    stack = f"service-{region}"
    (balancer,) = assembly.resources(stack, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    record = assembly.only(stack, RECORD)
    alias = record["AliasTarget"]
    assert {"Fn::GetAtt": [balancer, "DNSName"]} == alias["DNSName"]
    # Asked of the balancer: the zone's id differs by region and is written down nowhere.
    assert {"Fn::GetAtt": [balancer, "CanonicalHostedZoneID"]} == alias["HostedZoneId"]
    assert alias["EvaluateTargetHealth"] is False
    assert record["Name"].startswith(f"{region}.payments.")


def test_both_records_ask_their_region_whether_it_can_take_a_payment(assembly: Assembly) -> None:
    checks = assembly.resources(DNS, CHECK)
    assert 2 == len(checks)
    for role, region in zip(("PRIMARY", "SECONDARY"), REGIONS, strict=True):
        record = records(assembly)[role]
        name = record["HealthCheckId"]["Fn::GetAtt"][0]
        config = checks[name]["Properties"]["HealthCheckConfig"]
        certificate = assembly.only(f"service-{region}", "AWS::CertificateManager::Certificate")[
            "DomainName"
        ]
        assert ("HTTPS", 443, "/ready") == (config["Type"], config["Port"], config["ResourcePath"])
        assert config["EnableSNI"] is True
        # The name that is asked is the certificate's, and the one that clients are sent to.
        assert certificate == config["FullyQualifiedDomainName"]
        assert [certificate] == record["ResourceRecords"]


def test_clients_follow_within_the_time_that_is_promised(assembly: Assembly) -> None:
    from evertill.service.health import (  # noqa: PLC0415 - the other half of a contract
        PROBE_INTERVAL_S,
        STALE_AFTER_S,
    )

    checks = assembly.properties(DNS, CHECK)
    noticed_s = max(
        c["HealthCheckConfig"]["RequestInterval"] * c["HealthCheckConfig"]["FailureThreshold"]
        for c in checks
    )
    ttl_s = max(int(record["TTL"]) for record in records(assembly).values())
    # The sum in infrastructure/dns.py.
    assert 36 == PROBE_INTERVAL_S + STALE_AFTER_S + noticed_s + ttl_s


def test_the_records_in_front_have_the_name_that_is_told_and_certified(assembly: Assembly) -> None:
    told = assembly.template(DNS)["Outputs"]["PaymentDomainName"]["Value"]
    assert {f"{told}."} == {record["Name"] for record in records(assembly).values()}
    for region in REGIONS:
        certificate = assembly.only(f"service-{region}", "AWS::CertificateManager::Certificate")
        assert [told] == certificate["SubjectAlternativeNames"]


def test_a_zone_that_was_made_here_stays_when_the_stack_goes(assembly: Assembly) -> None:
    ((_, zone),) = assembly.resources(DNS, "AWS::Route53::HostedZone").items()
    assert "Retain" == zone["DeletionPolicy"] == zone["UpdateReplacePolicy"]
    assert "CloudWatchLogsLogGroupArn" in zone["Properties"]["QueryLoggingConfig"]
    # Or the zone would go on to log into nothing.
    for kind in ("AWS::Logs::LogGroup", "AWS::Logs::ResourcePolicy"):
        ((_, kept),) = assembly.resources(DNS, kind).items()
        assert "Retain" == kept["DeletionPolicy"]
    assert {"HostedZoneId", "NameServers"} < set(assembly.template(DNS)["Outputs"])


def test_an_outage_and_two_writers_are_both_told_where_the_metric_is(assembly: Assembly) -> None:
    alarms = {a["AlarmName"]: a for a in assembly.properties(DNS, "AWS::CloudWatch::Alarm")}
    nobody = next(a for name, a in alarms.items() if name.startswith("front-nobody-ready"))
    two = next(a for name, a in alarms.items() if name.startswith("front-two-ready"))
    for alarm in (nobody, two):
        stats = [m["MetricStat"]["Metric"] for m in alarm["Metrics"] if "MetricStat" in m]
        assert {("AWS/Route53", "HealthCheckStatus")} == {
            (m["Namespace"], m["MetricName"]) for m in stats
        }
        assert 2 == len(stats)
        assert alarm["AlarmActions"]
    assert ("LessThanThreshold", 1, "breaching") == (
        nobody["ComparisonOperator"],
        nobody["Threshold"],
        nobody["TreatMissingData"],
    )

"""The names that clients call, and how they move to the other region when the writer does.

It is separate from the regions because it belongs to none. A record per region names its load
balancer and is made by that region's own stack (`add_regional_record`), where the load balancer's
name and zone are known; it does not evaluate target health, for one empty target group would take
the region off the map. In front are two failover records for `payments.{domain}`.

DNS follows the writer and nobody calls Route 53 in an emergency: each failover record carries a
check of `/ready`, which a region answers with 200 only while it can take payments. While neither
does, Route 53 answers the primary record, so nothing moves until the standby has become the writer:
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html

The records in front are CNAMEs and no aliases: an alias would keep the 60 s of the load balancer's
record (https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-shared.html),
a CNAME has a TTL of its own. From the moment that the standby can write, clients follow after

      6 s   until every task's probe has noticed (service/health.py: every 1 s, 5 s at most)
     20 s   until Route 53 has (2 checks, 10 s apart)
     10 s   until resolvers ask again (the TTL)
    -----
     36 s   of an objective that the failover itself, some minutes, has most of.

Two checks are enough: a region that seems unready by mistake moves nobody, because the other one is
unready too.

Clients that keep connections open do not ask; a fenced writer answers them 503 with Retry-After.
All records find their zone by its name, because its id exists only after the first deployment.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aws_cdk import Aws, CfnOutput, CfnResource, Fn, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from constructs import Construct

from evertill.infrastructure.alarms import Alarms, above, below, math, published
from evertill.infrastructure.edge import Edge
from evertill.infrastructure.log_groups import retention
from evertill.infrastructure.names import HTTPS_PORT, Names
from evertill.infrastructure.settings import Settings

READY_PATH: Final = "/ready"
CHECK_INTERVAL_S: Final = 10
UNHEALTHY_AFTER: Final = 2
FRONT_TTL_S: Final = 10
SPACE: Final = "AWS/Route53"


class RegionCheck(NamedTuple):
    """A region's health check and the name that it asks."""

    region: str
    domain: str
    check: route53.CfnHealthCheck


def add_regional_record(scope: Construct, names: Names, edge: Edge) -> None:
    """Add the name under which this region answers, whoever is the writer."""
    balancer = edge.balancer
    route53.CfnRecordSet(
        scope,
        "RegionalRecord",
        hosted_zone_name=f"{names.settings.domain}.",
        name=f"{names.regional_domain()}.",
        type="A",
        alias_target=route53.CfnRecordSet.AliasTargetProperty(
            dns_name=balancer.load_balancer_dns_name,
            hosted_zone_id=balancer.load_balancer_canonical_hosted_zone_id,
            evaluate_target_health=False,
        ),
    )


class Front(Construct):
    """The zone, the health checks, and the records that clients call: `checks`."""

    def __init__(self, scope: Construct, construct_id: str, names: Names) -> None:
        """Build the front of an environment, with one region or two behind it."""
        super().__init__(scope, construct_id)
        self._scope = scope
        self._names = names
        zone = self._zone(names.settings)
        self.checks = [self._check(region.name) for region in names.settings.regions]
        for record in self._records():
            if zone is not None:
                record.node.add_dependency(zone)
        CfnOutput(scope, "PaymentDomainName", value=names.front_domain)

    def _zone(self, settings: Settings) -> route53.PublicHostedZone | None:
        if settings.hosted_zone != "create":
            CfnOutput(self._scope, "HostedZoneId", value=settings.hosted_zone)
            return None
        zone = route53.PublicHostedZone(
            self,
            "Zone",
            zone_name=settings.domain,
            comment="Evertill: made by its DNS stack and kept when that is deleted",
            query_logs_log_group_arn=self._query_log(settings).log_group_arn,
        )
        # Its name servers are written down at a registrar; another zone would have others.
        zone.apply_removal_policy(RemovalPolicy.RETAIN)
        CfnOutput(self._scope, "HostedZoneId", value=zone.hosted_zone_id)
        servers = Fn.join(",", zone.hosted_zone_name_servers or [])
        CfnOutput(self._scope, "NameServers", value=servers)
        return zone

    def _query_log(self, settings: Settings) -> logs.LogGroup:
        """Return the log of queries, which stays as long as its zone does."""
        group = logs.LogGroup(
            self,
            "Queries",
            log_group_name=f"/aws/route53/{settings.domain}",
            retention=retention(settings.log.access_log_days),
            removal_policy=RemovalPolicy.RETAIN,
        )
        # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/query-logs.html
        policy = logs.ResourcePolicy(
            self,
            "QueriesPolicy",
            policy_statements=[
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal("route53.amazonaws.com")],
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[group.log_group_arn],
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            ],
        )
        resource = policy.node.default_child
        if isinstance(resource, CfnResource):
            resource.apply_removal_policy(RemovalPolicy.RETAIN)
        return group

    def _check(self, region: str) -> RegionCheck:
        domain = self._names.regional_domain(region)
        check = route53.CfnHealthCheck(
            self,
            f"Check-{region}",
            health_check_config=route53.CfnHealthCheck.HealthCheckConfigProperty(
                type="HTTPS",
                fully_qualified_domain_name=domain,
                port=HTTPS_PORT,
                resource_path=READY_PATH,
                # Without the name in the handshake the load balancer shows its default certificate.
                enable_sni=True,
                request_interval=CHECK_INTERVAL_S,
                failure_threshold=UNHEALTHY_AFTER,
            ),
            health_check_tags=[
                route53.CfnHealthCheck.HealthCheckTagProperty(key="Name", value=domain)
            ],
        )
        return RegionCheck(region, domain, check)

    def _records(self) -> list[route53.CfnRecordSet]:
        if len(self.checks) == 1:
            return [self._record("Front", self.checks[0])]
        return [
            self._record(role.capitalize(), check, role)
            for role, check in zip(("PRIMARY", "SECONDARY"), self.checks, strict=True)
        ]

    def _record(
        self, construct_id: str, check: RegionCheck, role: str | None = None
    ) -> route53.CfnRecordSet:
        return route53.CfnRecordSet(
            self,
            construct_id,
            hosted_zone_name=f"{self._names.settings.domain}.",
            name=f"{self._names.front_domain}.",
            type="CNAME",
            ttl=str(FRONT_TTL_S),
            resource_records=[check.domain],
            failover=role,
            set_identifier=None if role is None else check.region,
            health_check_id=None if role is None else check.check.attr_health_check_id,
        )


def add_front_alarms(alarms: Alarms, checks: list[RegionCheck]) -> None:
    """Add the alarms about who is ready; Route 53 publishes HealthCheckStatus in us-east-1 only.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-cloudwatch.html
    Its dimension is HealthCheckId, its values 1 and 0, once a minute for as long as the check
    exists: missing means that nobody watches any more, which is as bad as unhealthy.

    A standby is unhealthy by design, so the sum is watched: none is an outage, two are worse.
    """
    statuses: dict[str, cloudwatch.IMetric] = {
        f"ready{place}": published(
            SPACE,
            "HealthCheckStatus",
            "Minimum",
            {"HealthCheckId": region.check.attr_health_check_id},
        )
        for place, region in enumerate(checks)
    }
    ready = math(" + ".join(statuses), "Regions that are ready", **statuses)
    alarms.ring(
        "front-nobody-ready",
        ready,
        "No region can take payments. Clients are sent to the primary record, whatever it answers.",
        # A database failover within a region is shorter than the two minutes.
        below(1, (2, 2)),
    )
    if len(checks) > 1:
        alarms.ring(
            "front-two-ready",
            ready,
            "Both regions say that they can write. Stop one: payments may be taken twice.",
            # Told by the alarm above.
            above(1, (1, 1)),
        )

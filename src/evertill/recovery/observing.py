"""Looks at both regions and at what is between them; changes nothing, and waits for nobody long.

Every question has its own answer or its own sentence of why there is none: a region that is lost
must not keep the other from being seen. Questions of a region are asked once each, all at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from evertill.authority.keeping import Leases
from evertill.authority.lease import RENEW_INTERVAL_S, Lease, Look
from evertill.domain.errors import EvertillError
from evertill.recovery import rds
from evertill.recovery.databases import STATEMENTS, Database
from evertill.recovery.deployment import Deployment
from evertill.recovery.pace import moment
from evertill.recovery.regions import Region
from evertill.recovery.snapshot import (
    AlarmSeen,
    Capacity,
    DnsSeen,
    GlobalSeen,
    Position,
    RegionSeen,
    Snapshot,
)
from evertill.recovery.surroundings import Surroundings

T = TypeVar("T")


class _Asked(Generic[T]):
    """A question under way, and its answer or the sentence of why there is none."""

    def __init__(self, pool: ThreadPoolExecutor, question: Callable[[], T]) -> None:
        self._future = pool.submit(question)

    def answer(self, what: str) -> tuple[T | None, str]:
        try:
            return self._future.result(), ""
        except EvertillError as failure:
            return None, str(failure)
        except (KeyError, IndexError, StopIteration) as failure:
            # An answer without what we look for: a part that is not there.
            return None, f"{what} does not tell {failure}."

    def noted(self, what: str, troubles: list[str]) -> T | None:
        found, trouble = self.answer(what)
        if trouble:
            troubles.append(trouble)
        return found


WORKERS_MAX: Final = 16
# One renewal more than the interval, so that a single worker's is seen.
LEASE_WATCH_S: Final = RENEW_INTERVAL_S + 1.0
LAG_METRIC: Final = "AuroraGlobalDBReplicationLag"
LAG_WINDOW_MIN: Final = 5
LAG_PERIOD_S: Final = 60
ALARMS_MAX: Final = 100


class Looker:
    """Looks around, with everything that recovery reaches."""

    def __init__(
        self, around: Surroundings, on_lease: Callable[[Lease, float], None] = lambda *_: None
    ) -> None:
        """Look at `around`; `on_lease` is told each look at the lease, and when it was answered."""
        self._around: Final = around
        self._on_lease: Final = on_lease
        self._deployment: Final = around.deployment

    def look(self) -> Snapshot:
        """Return what is seen."""
        with ThreadPoolExecutor(WORKERS_MAX) as pool:
            lease = pool.submit(self._lease)
            dns = _Asked(pool, self._dns)
            regions = [pool.submit(self._region, pool, name) for name in self._deployment.regions]
            seen = tuple(item.result() for item in regions)
            found, moves, trouble = lease.result()
            group = self._group(self._around.asked())
            names, dns_trouble = dns.answer("DNS")
        return Snapshot(
            at=moment(),
            regions=seen,
            group=group,
            lease=found,
            lease_moves=moves,
            dns=names,
            troubles=tuple(text for text in (trouble, dns_trouble) if text),
        )

    def _group(self, regions: Sequence[str]) -> GlobalSeen | None:
        """Return the global cluster by the first region that tells it, the standby's first.

        A region that was cut off may go on believing in what is over.
        """
        for name in reversed(regions):
            region = self._around.region(name).impatient()
            try:
                return rds.read_global(region, self._deployment.global_database)
            except EvertillError:
                continue
        return None

    def _region(self, pool: ThreadPoolExecutor, name: str) -> RegionSeen:
        ready = pool.submit(lambda: self._around.door(name).ready())
        if name not in self._around.asked():
            seen = ready.result()
            return RegionSeen(name=name, is_ready=seen.is_ready, ready_text=seen.text)
        region = self._around.region(name).impatient()
        deployment = self._deployment
        database = _Asked(pool, lambda: rds.read_database(region, deployment.database))
        position = _Asked(pool, lambda: read_position(self._around.database(name).impatient()))
        capacity = _Asked(pool, lambda: read_capacity(region, deployment))
        alarms = _Asked(pool, lambda: read_alarms(region, deployment))
        lag = _Asked(pool, lambda: read_lag(region, deployment))
        troubles: list[str] = []
        seen = ready.result()
        return RegionSeen(
            name=name,
            database=database.noted("RDS", troubles),
            position=position.noted("SQL", troubles),
            capacity=capacity.noted("ECS", troubles),
            alarms=alarms.noted("CloudWatch", troubles),
            lag_ms=lag.noted("CloudWatch", troubles),
            is_ready=seen.is_ready,
            ready_text=seen.text,
            troubles=tuple(dict.fromkeys(troubles)),
        )

    def _lease(self) -> tuple[Lease | None, bool | None, str]:
        """Return the lease, and whether its counter moves while we watch."""
        leases, pace = self._around.leases(self._around.asked()), self._around.pace
        try:
            first = last = self._look_at(leases)
            end_s = pace.now_s() + LEASE_WATCH_S
            while first is not None and last == first and pace.now_s() < end_s:
                pace.sleep(RENEW_INTERVAL_S / 10)
                last = self._look_at(leases)
        except EvertillError as failure:
            return None, None, str(failure)
        if first is None or last is None:
            return None, None, "There is no write lease yet."
        return last, last != first, ""

    def _look_at(self, leases: Leases) -> Lease | None:
        answer = leases.call(Look())
        if not isinstance(answer, Lease):
            return None
        self._on_lease(answer, self._around.pace.now_s())
        return answer

    def _dns(self) -> DnsSeen:
        region = self._around.region(self._around.asked()[-1])
        return read_dns(region.impatient(), self._deployment)


def read_position(database: Database) -> Position:
    """Return how far a database reaches; a standby's answers at its reader's endpoint only."""
    with database.connected(database.role()) as connection:
        is_standby, epoch, _ = connection.execute(STATEMENTS["standing"]).fetchall()[0]
        row = connection.execute(STATEMENTS["position"]).fetchall()[0]
    commit_at, _, asked_at, count, sums = row
    return Position(
        is_writable=not is_standby,
        epoch=epoch,
        commit_at=commit_at.isoformat() if commit_at else None,
        behind_s=(asked_at - commit_at).total_seconds() if commit_at else None,
        payments_per_min=count,
        amounts_minor=json.loads(sums) if sums else {},
    )


def read_capacity(region: Region, deployment: Deployment) -> Capacity:
    """Return how many tasks there are, may be, and are sent requests to."""
    service = region.call(
        "ecs",
        "describe_services",
        cluster=deployment.named("cluster"),
        services=[deployment.named("service")],
    )["services"][0]
    target = region.call(
        "application-autoscaling",
        "describe_scalable_targets",
        ServiceNamespace="ecs",
        ResourceIds=[deployment.scaled],
    )["ScalableTargets"][0]
    healthy = 0
    for balancer in service["loadBalancers"]:
        arn = balancer["targetGroupArn"]
        health = region.call("elbv2", "describe_target_health", TargetGroupArn=arn)
        states = [item["TargetHealth"]["State"] for item in health["TargetHealthDescriptions"]]
        healthy += states.count("healthy")
    return Capacity(
        running=service["runningCount"],
        desired=service["desiredCount"],
        count_min=target["MinCapacity"],
        count_max=target["MaxCapacity"],
        healthy=healthy if service["loadBalancers"] else None,
    )


def read_alarms(region: Region, deployment: Deployment) -> tuple[AlarmSeen, ...]:
    """Return the environment's alarms that are not OK, those that ring first."""
    told: list[dict[str, Any]] = []
    page: dict[str, str] = {}
    while True:
        answer = region.call(
            "cloudwatch",
            "describe_alarms",
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            MaxRecords=ALARMS_MAX,
            **page,
        )
        told += [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
        if not answer.get("NextToken"):
            break
        page = {"NextToken": answer["NextToken"]}
    found = [
        AlarmSeen(
            name=item["AlarmName"],
            state=item["StateValue"],
            since=item["StateUpdatedTimestamp"].isoformat(timespec="seconds"),
        )
        for item in told
        if item["AlarmName"].endswith(f"-{deployment.suffix}") and item["StateValue"] != "OK"
    ]
    return tuple(sorted(found, key=lambda alarm: (alarm.state != "ALARM", alarm.name)))


def read_lag(region: Region, deployment: Deployment) -> float | None:
    """Return the last lag of replication that RDS published here: only a standby has one."""
    now = datetime.now(UTC)
    metric = {
        "Namespace": "AWS/RDS",
        "MetricName": LAG_METRIC,
        "Dimensions": [{"Name": "DBClusterIdentifier", "Value": deployment.database}],
    }
    answer = region.call(
        "cloudwatch",
        "get_metric_data",
        StartTime=now - timedelta(minutes=LAG_WINDOW_MIN),
        EndTime=now + timedelta(minutes=1),
        ScanBy="TimestampDescending",
        MetricDataQueries=[
            {
                "Id": "lag",
                "MetricStat": {"Metric": metric, "Period": LAG_PERIOD_S, "Stat": "Maximum"},
            }
        ],
    )
    values = answer["MetricDataResults"][0]["Values"] if answer["MetricDataResults"] else []
    return float(values[0]) if values else None


def read_dns(region: Region, deployment: Deployment) -> DnsSeen:
    """Return what Route 53 answers, and its checks, by its API, which is only read.

    It may be down with us-east-1 while DNS itself goes on; then nobody here knows.
    """
    answer = read_addresses(region, deployment, deployment.front)
    checks = region.call("route53", "list_health_checks")["HealthChecks"]
    found = {}
    for name in deployment.regions:
        for check in checks:
            if check["HealthCheckConfig"].get("FullyQualifiedDomainName") == deployment.regional(
                name
            ):
                found[name] = _health(region, check["Id"])
    return DnsSeen(answer=answer, checks=found)


def read_addresses(region: Region, deployment: Deployment, name: str) -> tuple[str, ...]:
    """Return what Route 53 answers for a name of the environment."""
    zones = region.call("route53", "list_hosted_zones_by_name", DNSName=deployment.domain)
    found = (zone for zone in zones["HostedZones"] if zone["Name"] == f"{deployment.domain}.")
    answer = region.call(
        "route53",
        "test_dns_answer",
        HostedZoneId=next(found)["Id"],
        RecordName=name,
        RecordType="A",
    )
    return tuple(answer["RecordData"])


def _health(region: Region, identifier: str) -> str:
    seen = region.call("route53", "get_health_check_status", HealthCheckId=identifier)
    texts = [item["StatusReport"]["Status"] for item in seen["HealthCheckObservations"]]
    passing = sum(text.startswith("Success") for text in texts)
    failing = next((text for text in texts if not text.startswith("Success")), "")
    return f"{passing} of {len(texts)} pass{f'; {failing}' if failing else ''}"

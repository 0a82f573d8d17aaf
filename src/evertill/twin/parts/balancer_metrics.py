"""What a load balancer publishes to CloudWatch: counts and times of requests, and healthy hosts.

It is separate from the nodes because it sums over them. Requests come from their logs, a line each;
they are added up here and published together, as AWS does once a minute, only more often.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from evertill.twin.part import Metrics
from evertill.twin.parts.balancer_node import Node
from evertill.twin.parts.haproxy_text import unchecked
from evertill.twin.parts.target_group import TargetGroup
from evertill.twin.parts.traffic import Traffic
from evertill.twin.plan.balancer_specs import BalancerSpec

NAMESPACE: Final = "AWS/ApplicationELB"
# Twin seconds between two publications.
PUBLISH_INTERVAL_S: Final = 10.0
# Of more requests than this in one interval a random-free, evenly spread sample is published: it
# has the same percentiles, and a store need not hold every request.
TIMES_MAX: Final = 100
FIELDS: Final = 7
# How HAProxy's log begins to tell that a connection to a target was refused or not taken in time,
# and what a load balancer answers then. HAProxy may have hung up instead (ADR 0044).
CONNECT_FAILED: Final = {"SC": 502, "sC": 504}
SERVER_ERROR: Final = 500
OWN_CODES: Final = {500, 502, 503, 504}


class BalancerMetrics:
    """Adds up what the nodes of one balancer log."""

    def __init__(
        self, spec: BalancerSpec, groups: dict[str, TargetGroup], metrics: Metrics
    ) -> None:
        """Publish to `metrics` under the names of `spec`."""
        self._spec = spec
        self._groups = groups
        self._names = {group.spec.name: arn for arn, group in groups.items()}
        self._metrics = metrics
        # By metric, zone and group's ARN, which is empty for what concerns the balancer alone.
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._times_s: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.traffic: Final = Traffic()
        self.requests = 0
        self.failures = 0

    def read(self, zone: str, lines: Sequence[str]) -> None:
        """Add up lines of the log of the node in `zone`; what is no request is passed over."""
        for line in lines:
            fields = line.split()
            if len(fields) == FIELDS and fields[3].lstrip("-").isdigit():
                self._read(zone, *fields[1:])

    def publish(self, nodes: Sequence[Node]) -> None:
        """Publish what was added up since the last time, and how many hosts are healthy."""
        counts, times_s = self._counts, self._times_s
        self._counts, self._times_s = Counter(), defaultdict(list)
        for (name, zone, arn), count in counts.items():
            for dimensions in self._dimensions(zone, arn):
                self._put(name, count, "Count", dimensions)
        for (zone, arn), values_s in times_s.items():
            step = max(1, len(values_s) // TIMES_MAX)
            for dimensions in self._dimensions(zone, arn):
                for value_s in values_s[::step]:
                    self._put("TargetResponseTime", value_s, "Seconds", dimensions)
        self._publish_hosts([node for node in nodes if node.answers])
        self._publish_shares(counts)

    def _read(  # noqa: PLR0917 - the log's fields in their order
        self, zone: str, backend: str, server: str, status: str, answered: str, took: str, end: str
    ) -> None:
        arn = self._names.get(backend.removesuffix(unchecked("")), "")
        code = CONNECT_FAILED.get(end[:2], int(status)) if answered != "1" else int(status)
        self.requests += 1
        is_error = code >= SERVER_ERROR or code < 0
        self.failures += is_error
        self.traffic.note(int(took), is_error=is_error)
        if not arn or server.startswith("<"):
            self._count_own(code, zone)
            return
        self._counts["RequestCount", zone, arn] += 1
        if answered == "1":
            self._counts[f"HTTPCode_Target_{code // 100}XX_Count", zone, arn] += 1
            self._times_s[zone, arn].append(int(took) / 1_000)
        else:
            self._count_own(code, zone)
        if end[:2] in CONNECT_FAILED:
            self._counts["TargetConnectionErrorCount", zone, arn] += 1

    def _count_own(self, code: int, zone: str) -> None:
        if code < 0:
            return
        self._counts[f"HTTPCode_ELB_{code // 100}XX_Count", zone, ""] += 1
        if code in OWN_CODES:
            self._counts[f"HTTPCode_ELB_{code}_Count", zone, ""] += 1

    def _publish_hosts(self, nodes: Sequence[Node]) -> None:
        """Publish what each node finds. The zone is the node's: each checks all targets.

        Where tasks are capped, each stands for several, as in ECS's own counts.
        """
        for arn, group in self._groups.items():
            if not any(not target.is_draining for target in group.targets()):
                continue
            share = group.stands_for()
            for node in nodes:
                for dimensions in self._dimensions(node.zone, arn):
                    if "TargetGroup" in dimensions:
                        healthy = round(node.healthy(arn) * share)
                        unhealthy = round(node.unhealthy(arn) * share)
                        self._put("HealthyHostCount", healthy, "Count", dimensions)
                        self._put("UnHealthyHostCount", unhealthy, "Count", dimensions)

    def _publish_shares(self, counts: Counter[tuple[str, str, str]]) -> None:
        requests: Counter[str] = Counter()
        for (name, _, arn), count in counts.items():
            if name == "RequestCount":
                requests[arn] += count
        for arn, count in requests.items():
            hosts = self._groups[arn].count("healthy") or 1
            group = self._groups[arn].spec.full_name
            both = {"TargetGroup": group, "LoadBalancer": self._spec.full_name}
            for dimensions in ({"TargetGroup": group}, both):
                self._put("RequestCountPerTarget", count / hosts, "Count", dimensions)

    def _dimensions(self, zone: str, arn: str) -> Iterator[dict[str, str]]:
        balancer = {"LoadBalancer": self._spec.full_name}
        place = {"AvailabilityZone": zone}
        yield balancer
        yield balancer | place
        if arn:
            group = {"TargetGroup": self._groups[arn].spec.full_name}
            yield balancer | group
            yield balancer | group | place

    def _put(self, name: str, value: float, unit: str, dimensions: dict[str, str]) -> None:
        self._metrics.put(self._spec.region, NAMESPACE, name, value, unit, **dimensions)

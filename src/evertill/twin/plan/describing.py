"""What databases, load balancers and zones will be, each as a line with lines below it.

It is separate from the printing because it knows the specifications and nothing of trees.
"""

from __future__ import annotations

from collections.abc import Iterator

from evertill.twin.addresses import local_port
from evertill.twin.plan.balancer_specs import BalancerSpec, Forward, ListenerSpec
from evertill.twin.plan.database_gates import DatabaseGateSpec
from evertill.twin.plan.database_specs import ClusterSpec
from evertill.twin.plan.dns_specs import Record, ZoneSpec
from evertill.twin.plan.functions import FunctionSpec
from evertill.twin.plan.plan import Plan

Lines = tuple[str, list[str]]


def described(plan: Plan, region: str) -> Iterator[Lines]:
    """Give what runs in a region besides services, in the order in which a request meets it."""
    for balancer in plan.balancing.balancers:
        if balancer.region == region:
            yield _balancer(balancer)
    for function in plan.functions:
        if function.region == region:
            yield _function(function)
    for cluster in plan.databases.clusters:
        if cluster.region == region:
            gates = [gate for gate in plan.database_gates if gate.target == cluster.name]
            yield _cluster(cluster, gates)


def described_everywhere(plan: Plan) -> Iterator[Lines]:
    """Give what belongs to no region."""
    for group in plan.databases.globals:
        yield f"global database {group.identifier}", list(group.members)
    for zone in plan.dns.zones:
        yield _zone(zone)


def _balancer(balancer: BalancerSpec) -> Lines:
    return (
        f"load balancer {balancer.name}: a front in {', '.join(balancer.zones)}",
        [_listener(listener) for listener in balancer.listeners],
    )


def _listener(listener: ListenerSpec) -> str:
    port = local_port(listener.port)
    here = f" (here {port})" if port != listener.port else ""
    if listener.refusal is not None:
        return f"{listener.protocol} {listener.port}: nobody may connect, {listener.refusal}"
    sends = sum(isinstance(action, Forward) for action in listener.actions())
    count = len(listener.rules)
    rules = f"{count} {'rule' if count == 1 else 'rules'} and a default, {sends} forward"
    return f"{listener.protocol} {listener.port}{here}: {rules}"


def _function(function: FunctionSpec) -> Lines:
    limits = f"{function.timeout_s:g} s, {function.memory_mb} MB"
    return f"function {function.name}: {function.handler} ({function.runtime}), {limits}", []


def _cluster(cluster: ClusterSpec, gates: list[DatabaseGateSpec]) -> Lines:
    below = [f"{member.identifier} in {member.zone}" for member in cluster.instances]
    below += [f"a copy of the log in {member.zone}" for member in cluster.logs]
    below += sorted({gate.refusal for gate in gates if gate.refusal})
    allowed = sum(not gate.refusal for gate in gates)
    kind = f"{cluster.engine} {cluster.engine_version}"
    return f"database {cluster.identifier}: {kind}, reached by {allowed} gates", below


def _zone(zone: ZoneSpec) -> Lines:
    return f"zone {zone.name}", [_record(record) for record in zone.records]


def _record(record: Record) -> str:
    role = f", {record.failover.lower()}" if record.failover else ""
    target = record.alias.dns_name if record.alias is not None else ", ".join(record.values)
    return f"{record.name} {record.type}{role}: {target}"

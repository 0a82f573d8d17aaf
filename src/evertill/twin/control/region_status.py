"""How one region is: zones, services, tasks, databases, load balancers, alarms, functions, copies.

It is separate from the whole document because a region is drawn by itself, and is long.
"""

from __future__ import annotations

from typing import Any

from evertill.twin.parts.balancer import Balancer
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.global_cluster import GlobalCluster
from evertill.twin.parts.postgres import Instance
from evertill.twin.parts.service import Service
from evertill.twin.parts.traffic import flow_of
from evertill.twin.running.region import Region
from evertill.twin.running.twin import Twin

Document = dict[str, Any]
HISTORY_MAX = 10


def region_status(twin: Twin, name: str) -> Document:
    """Return how a region is; times are twin seconds since the start."""
    region = twin.regions[name]
    flow = flow_of(balancer.traffic for balancer in region.balancers)
    return {
        "role": role_of(twin, name),
        "endpoint": twin.endpoints[name],
        "name": _public_name(twin, region),
        "zones": {
            zone: {"state": "lost" if twin.outages.is_lost(zone) else "up"} for zone in region.zones
        },
        "services": [_service(item) for item in region.services],
        "tasks": [task for item in region.services for task in _tasks(item)],
        "database": {"clusters": _clusters(twin, name)},
        "load_balancer": [_balancer(twin, item) for item in region.balancers],
        "traffic": {
            "requests_per_s": round(flow.requests_per_s, 1),
            "errors_5xx_per_s": round(flow.errors_5xx_per_s, 1),
            "latency_p50_ms": flow.latency_p50_ms,
            "latency_p99_ms": flow.latency_p99_ms,
        },
        "alarms": _alarms(twin, region),
        "functions": [
            {"name": item.spec.name, "state": item.state} for item in region.aws.functions
        ],
        "objects": {"replication": [copy.summary() for copy in region.aws.copies]},
    }


def role_of(twin: Twin, name: str) -> str:
    """Return lost, active or standby; where no databases follow each other, all are active."""
    if not twin.outages.is_up(name):
        return "lost"
    groups = twin.databases.groups.values()
    if not groups:
        return "active"
    return "active" if name in {group.primary.spec.region for group in groups} else "standby"


def _public_name(twin: Twin, region: Region) -> str | None:
    """Return the name that always leads to this region, None without one."""
    own = {balancer.spec.dns_name for balancer in region.balancers}
    for zone in twin.zones.zones.values():
        for record in zone.records():
            alias = record.alias
            if alias is not None and not record.failover and alias.dns_name.rstrip(".") in own:
                return record.name.rstrip(".")
    return None


def _service(service: Service) -> Document:
    deployment = service.primary if service.deployments else None
    return {
        "name": service.spec.name,
        "desired": service.count,
        "running": len(service.running),
        "started_max": service.spec.count_max,
        "is_steady": service.is_steady,
        "deployment": deployment
        and {"id": deployment.id, "state": deployment.state, "reason": deployment.reason},
    }


def _tasks(service: Service) -> list[Document]:
    return [
        {
            "id": hand.task.id,
            "service": service.spec.name,
            "zone": hand.task.zone,
            "state": hand.task.status,
            "health": hand.task.health,
            "frozen": hand.task.is_frozen,
        }
        for hand in service.crew
    ]


def _clusters(twin: Twin, region: str) -> list[Document]:
    groups = twin.databases.groups.values()
    return [
        _cluster(item, next((group for group in groups if item in group.members), None))
        for item in twin.databases.clusters.values()
        if item.spec.region == region
    ]


def _cluster(cluster: Cluster, group: GlobalCluster | None) -> Document:
    role = "alone" if group is None else "writer" if cluster.is_primary else "standby"
    is_there = any(item.is_running for item in cluster.instances.values())
    follows = group is not None and role == "standby"
    return {
        "identifier": cluster.name.rpartition("/")[2],
        "global": None if group is None else group.spec.identifier,
        "role": role,
        "state": cluster.state if is_there else "unavailable",
        "lag_ms": round(group.lag_s(cluster) * 1000) if group is not None and follows else None,
        "instances": [_instance(cluster, item) for item in cluster.instances.values()],
    }


def _instance(cluster: Cluster, instance: Instance) -> Document:
    is_writer = cluster.is_primary and instance is cluster.writer
    return {
        "identifier": instance.member,
        "zone": instance.place,
        "role": "writer" if is_writer else "reader" if cluster.is_primary else "standby",
        "state": _state(cluster, instance),
        "frozen": instance.is_frozen,
    }


def _state(cluster: Cluster, instance: Instance) -> str:
    if cluster.is_held(instance.place):
        return "lost"
    if cluster.rejoining.is_under_way(instance):
        return "rejoining"
    return "running" if instance.is_running else "stopped"


def _balancer(twin: Twin, balancer: Balancer) -> Document:
    status = balancer.status()
    return {
        "name": balancer.spec.name,
        "nodes": [
            {
                "zone": zone,
                "address": node["address"],
                "state": "up"
                if node["answers"]
                else "lost"
                if twin.outages.is_lost(zone)
                else "down",
            }
            for zone, node in status["nodes"].items()
        ],
        "targets": [
            {
                "group": group["name"],
                "id": f"{target['host']}:{target['port']}",
                "zone": target["zone"],
                "health": target["state"],
            }
            for group in status["target_groups"]
            for target in group["targets"]
        ],
    }


def _alarms(twin: Twin, region: Region) -> list[Document]:
    clock = twin.ground.clock
    begun_s = clock.epoch_s() - clock.now_s()
    history = region.aws.alarms.history()
    return [
        {
            "name": standing.spec.name,
            "state": str(standing.state),
            "since_s": round(standing.since_s - begun_s, 3),
            "history": [
                {
                    "at_s": round(change.at_s - begun_s, 3),
                    "from": str(change.old),
                    "to": str(change.new),
                    "reason": change.reason,
                }
                for change in history
                if change.alarm == standing.spec.name
            ][:HISTORY_MAX],
        }
        for standing in region.aws.alarms.standings()
    ]

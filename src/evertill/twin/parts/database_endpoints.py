"""The gates of databases from their specifications, and the addresses that the API tells.

It is separate from the gate because it knows clusters, and from the clusters because they do not
care who asks: here a role in a plan becomes the server that has it at the time.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping

import msgspec

from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.database_gate import DatabaseGate, Rules
from evertill.twin.parts.database_tokens import Door
from evertill.twin.parts.gate import FindPeer, Listen, Peer
from evertill.twin.parts.global_cluster import GlobalCluster
from evertill.twin.parts.identities import Identities
from evertill.twin.plan.database_gates import (
    OPERATOR,
    READER,
    DatabaseGateSpec,
    door_arn,
)

# Makes what a gate shows as its certificate, for an address.
MakeContext = Callable[[str], ssl.SSLContext]


class Surroundings(msgspec.Struct, frozen=True):
    """What every gate of a database needs besides its own specification."""

    clusters: Mapping[str, Cluster]
    global_clusters: Mapping[str, GlobalCluster]
    identities: Identities
    make_context: MakeContext
    clock: Clock
    links: Links
    timeline: Timeline


def gate_of(spec: DatabaseGateSpec, world: Surroundings) -> DatabaseGate:
    """Return the gate of a specification, not started."""
    find_cluster = _finder(spec, world)

    def find_door() -> Door:
        cluster = find_cluster().spec
        return Door([spec.address], cluster.region, door_arn(cluster))

    async def is_waiting(peer: Peer, process: int) -> bool:
        return await find_cluster().is_waiting(peer, process)

    return DatabaseGate(
        spec.name,
        Listen(spec.zone, spec.host, spec.port),
        _find_peer(spec, find_cluster),
        rules=Rules(
            tls=world.make_context(spec.host),
            find_door=find_door,
            force_ssl=find_cluster().spec.force_ssl,
            identities=world.identities,
            is_waiting=is_waiting,
        ),
        clock=world.clock,
        links=world.links,
        timeline=world.timeline,
        refusal=spec.refusal,
    )


def operator_endpoints(specs: Iterable[DatabaseGateSpec]) -> dict[tuple[str, str], str]:
    """Return the address of every endpoint as somebody outside sees it, by target and role."""
    return {
        (item.target, item.role): item.host
        for item in specs
        if item.consumer.endswith(f"/{OPERATOR}")
    }


def _finder(spec: DatabaseGateSpec, world: Surroundings) -> Callable[[], Cluster]:
    """Return what finds the cluster that a gate leads to at the time."""
    if spec.target in world.clusters:
        cluster = world.clusters[spec.target]
        return lambda: cluster
    group = world.global_clusters[spec.target]
    return lambda: group.primary


def _find_peer(spec: DatabaseGateSpec, find_cluster: Callable[[], Cluster]) -> FindPeer:
    if spec.role == READER:
        return lambda: find_cluster().reader_peer()
    if spec.role in find_cluster().instances:
        return lambda: find_cluster().instance_peer(spec.role)
    return lambda: find_cluster().writer_peer()

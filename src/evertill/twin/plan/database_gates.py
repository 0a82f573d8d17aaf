"""The endpoints of databases: a gate for each consumer, zone and role, and what references read.

It is separate from the clusters because it needs to know who asks, which is the only thing that it
and the planner of clusters do not share. Besides the consumers of the templates there is an
operator in each region, who comes from outside: recovery, a test, somebody with `psql`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from evertill.assembly import Model, Reference, Resource
from evertill.twin.addresses import Addresses
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.consumers import Consumer
from evertill.twin.plan.database_specs import ClusterSpec
from evertill.twin.plan.databases import CLUSTER, GLOBAL, INSTANCE, DatabasePlan
from evertill.twin.plan.groups import SecurityGroups
from evertill.twin.plan.identity import physical_name

WRITER: Final = "writer"
READER: Final = "reader"
GLOBAL_ROLE: Final = "global"
OPERATOR: Final = "operator"


class DatabaseGateSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint as one consumer sees it.

    `target` is the part that it leads to, a cluster or a global cluster, and `role` which server of
    it: `writer`, `reader`, `global`, or the name of an instance. `refusal` is the rule of security
    groups that is missing, if one is.
    """

    name: str
    consumer: str
    region: str
    zone: str
    host: str
    port: int
    target: str
    role: str
    refusal: str = ""

    @property
    def address(self) -> str:
        """Return the address as a token for it names it."""
        return f"{self.host}:{self.port}"


def plan_database_gates(
    model: Model,
    databases: DatabasePlan,
    consumers: Sequence[Consumer],
    bindings: Bindings,
    addresses: Addresses,
) -> tuple[DatabaseGateSpec, ...]:
    """Return the gates, and bind the endpoints of every cluster for every consumer."""
    planner = _Planner(model, bindings, addresses)
    found: list[DatabaseGateSpec] = []
    for resource in model.resources_of(CLUSTER):
        spec = next(
            item
            for item in databases.clusters
            if (item.region, item.identifier) == (resource.region, physical_name(resource))
        )
        near = [item for item in consumers if item.region == spec.region]
        for consumer in (*near, _operator(spec.region)):
            found += planner.cluster(resource, spec, consumer)
    for resource in model.resources_of(GLOBAL):
        members = [
            item for item in databases.clusters if item.global_identifier == physical_name(resource)
        ]
        regions = dict.fromkeys(item.region for item in members)
        for consumer in (*consumers, *map(_operator, regions)):
            found += planner.world(resource, members, consumer)
    return tuple(found)


def door_arn(spec: ClusterSpec) -> str:
    """Return the ARN that `rds-db:connect` is granted on, without the user."""
    _, partition, _, region, account, *_ = spec.arn.split(":")
    return f"arn:{partition}:rds-db:{region}:{account}:dbuser:{spec.resource_id}"


def _operator(region: str) -> Consumer:
    return Consumer(region, region, OPERATOR)


class _Planner:
    def __init__(self, model: Model, bindings: Bindings, addresses: Addresses) -> None:
        self._model = model
        self._bindings = bindings
        self._addresses = addresses
        self._groups = SecurityGroups(model)
        self._asked_for = {item for other in model.resources for item in other.references}

    def cluster(
        self, resource: Resource, spec: ClusterSpec, consumer: Consumer
    ) -> Iterator[DatabaseGateSpec]:
        """Give the gates of one cluster for one consumer."""
        refusal = self._refusal(resource, spec, consumer)
        own = [
            item
            for item in self._model.resources_of(INSTANCE)
            if self._is_of(item, resource) and self._is_wanted(item, consumer)
        ]
        asked = [
            (WRITER, Reference(resource.stack, resource.logical_id, "Endpoint.Address")),
            (READER, Reference(resource.stack, resource.logical_id, "ReadEndpoint.Address")),
            *(
                (physical_name(item), Reference(item.stack, item.logical_id, "Endpoint.Address"))
                for item in own
            ),
        ]
        for role, reference in asked:
            gate = self._gate(consumer, spec.name, spec.port, role, refusal)
            self._bind(reference, gate)
            self._bind_port(reference, spec.port)
            yield gate

    def world(
        self, resource: Resource, members: Sequence[ClusterSpec], consumer: Consumer
    ) -> Iterator[DatabaseGateSpec]:
        """Give the gate of a global cluster's writer for one consumer."""
        reference = Reference(resource.stack, resource.logical_id, "GlobalEndpoint.Address")
        if members and (reference in self._asked_for or consumer.thing == OPERATOR):
            name = f"global/database/{physical_name(resource)}"
            gate = self._gate(consumer, name, members[0].port, GLOBAL_ROLE, "")
            self._bind(reference, gate)
            yield gate

    def _gate(
        self, consumer: Consumer, target: str, port: int, role: str, refusal: str
    ) -> DatabaseGateSpec:
        what = f"{consumer.thing} to {target.rpartition('/')[2]} {role}"
        return DatabaseGateSpec(
            name=f"{consumer.region}/gate/{consumer.zone} {what}",
            consumer=consumer.name,
            region=consumer.region,
            zone=consumer.zone,
            host=self._addresses.take(consumer.zone, what),
            port=port,
            target=target,
            role=role,
            refusal=refusal,
        )

    def _bind(self, reference: Reference, gate: DatabaseGateSpec) -> None:
        self._bindings.bind(reference, gate.host, gate.consumer)
        if gate.consumer == _operator(gate.region).name:
            # Outputs and whoever else asks for no one in particular.
            self._bindings.bind(reference, gate.host)

    def _bind_port(self, reference: Reference, port: int) -> None:
        named = Reference(reference.stack, reference.logical_id, "Endpoint.Port")
        self._bindings.bind(named, str(port))

    def _refusal(self, resource: Resource, spec: ClusterSpec, consumer: Consumer) -> str:
        groups = resource.items("VpcSecurityGroupIds")
        if consumer.thing == OPERATOR or not groups:
            return ""
        missing = self._groups.may_connect(consumer.groups, groups, spec.port)
        return f"{consumer.name} may not reach {spec.name}: {missing}." if missing else ""

    def _is_wanted(self, instance: Resource, consumer: Consumer) -> bool:
        """Tell whether anybody names an instance's own endpoint, as few templates do."""
        reference = Reference(instance.stack, instance.logical_id, "Endpoint.Address")
        return consumer.thing == OPERATOR or reference in self._asked_for

    def _is_of(self, instance: Resource, cluster: Resource) -> bool:
        found = self._model.find(
            instance.get("DBClusterIdentifier"), CLUSTER, region=instance.region
        )
        return found is cluster

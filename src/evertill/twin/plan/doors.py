"""Which name the front door stands for: the one that clients of these templates would use.

It is separate because it is a guess about people, while zones and load balancers are facts.
"""

from __future__ import annotations

from typing import Final

from evertill.twin.addresses import local_port
from evertill.twin.plan.balancers import Balancing
from evertill.twin.plan.dns import Dns
from evertill.twin.plan.dns_specs import Doors, Record

TYPES: Final = {"A", "CNAME"}


def doors_of(dns: Dns, balancing: Balancing) -> Doors | None:
    """Return the front door: the name that fails over before any other, and all listeners' ports.

    Without records it is a load balancer's own name; without one there is no door.
    """
    balancers = [balancer for balancer in balancing.balancers if not balancer.is_internal]
    if not balancers:
        return None
    records = [record for zone in dns.zones for record in zone.records if record.type in TYPES]
    names = [record.name.rstrip(".") for record in sorted(records, key=_rank)]
    ports = {
        listener.port
        for balancer in balancers
        for listener in balancer.listeners
        if listener.refusal is None
    }
    return Doors(
        (names or [balancers[0].dns_name])[0],
        tuple((local_port(port), port) for port in sorted(ports)),
    )


def _rank(record: Record) -> tuple[bool, bool, bool, int]:
    """Order names by how likely a client is to use them: one that chooses, then a short one."""
    return (not record.failover, record.weight is None, record.alias is None, len(record.name))

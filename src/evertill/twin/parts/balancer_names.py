"""The names and addresses of all load balancers, as DNS and its clients ask for them.

It is separate because DNS is one for all regions, and a load balancer belongs to one.
"""

from __future__ import annotations

from collections.abc import Sequence

from evertill.twin.parts.balancer import Balancer


class BalancerNames:
    """Knows load balancers by their names in DNS and by their nodes' addresses."""

    def __init__(self, balancers: Sequence[Balancer]) -> None:
        """Know `balancers`."""
        self._by_name = {balancer.spec.dns_name: balancer for balancer in balancers}

    def addresses(self, dns_name: str) -> Sequence[str] | None:
        """Return the addresses that a name has now, None for a name of no load balancer."""
        balancer = self._by_name.get(dns_name.rstrip(".").lower())
        return None if balancer is None else balancer.addresses()

    def is_healthy(self, dns_name: str) -> bool:
        """Tell whether the load balancer is healthy as Route 53 evaluates it."""
        balancer = self._by_name.get(dns_name.rstrip(".").lower())
        return balancer is not None and balancer.is_healthy()

    def place(self, address: str) -> str:
        """Return the zone in which an address is, empty for one that is nobody's."""
        for balancer in self._by_name.values():
            for zone in balancer.spec.zones:
                if balancer.node(zone).address == address:
                    return zone
        return ""

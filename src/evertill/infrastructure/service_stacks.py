"""The stacks of what runs: the service of a region, its watch, and the names in front of both.

They are apart from `stacks` because these change with every release and hold nothing that would
be missed.
"""

from __future__ import annotations

from constructs import Construct

from evertill.infrastructure.settings import Settings
from evertill.infrastructure.stacks import DataStack, NetworkStack, RegionalStack

# Route 53 keeps its control plane and the metrics of health checks in this region:
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-cloudwatch.html
DNS_REGION = "us-east-1"


class ServiceStack(RegionalStack):
    """What runs in a region: containers, load balancer, firewall, validation function."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        region: str,
        network: NetworkStack,
        data: DataStack,
    ) -> None:
        """Run the service of `region` on its network and data."""
        super().__init__(
            scope, "service", settings, region, description="Evertill: what runs in a region"
        )
        self.network = network
        self.data = data


class WatchStack(RegionalStack):
    """Who is told when a region fails: topic, alarms, dashboard."""

    def __init__(
        self, scope: Construct, settings: Settings, region: str, service: ServiceStack
    ) -> None:
        """Watch everything of `region`."""
        super().__init__(
            scope, "watch", settings, region, description="Evertill: the alarms of a region"
        )
        self.service = service


class DnsStack(RegionalStack):
    """The names that clients call, and the health checks that move them."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        """Place it where Route 53's own metrics are."""
        super().__init__(
            scope,
            "dns",
            settings,
            DNS_REGION,
            description="Evertill: zone, health checks and failover records",
            termination_protection=True,
        )

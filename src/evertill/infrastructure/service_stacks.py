"""The stacks of what runs: the service of a region, its watch, and the names in front of both.

They are apart from `stacks` because these change with every release and hold nothing that would
be missed.
"""

from __future__ import annotations

from pathlib import Path

from aws_cdk import CfnOutput
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from evertill.infrastructure import log_metrics
from evertill.infrastructure.alarms import Alarms
from evertill.infrastructure.alarms_database import add_replication_alarms, add_server_alarms
from evertill.infrastructure.alarms_log import add_certificate_alarm, add_log_alarms
from evertill.infrastructure.alarms_region import add_region_alarm
from evertill.infrastructure.alarms_role import add_role_alarm
from evertill.infrastructure.alarms_service import add_service_alarms
from evertill.infrastructure.alarms_validation import add_validation_alarms
from evertill.infrastructure.alerts import Alerts
from evertill.infrastructure.compute import Compute
from evertill.infrastructure.dashboard import add_dashboard
from evertill.infrastructure.dns import Front, add_front_alarms, add_regional_record
from evertill.infrastructure.edge import Edge
from evertill.infrastructure.firewall import Firewall
from evertill.infrastructure.migration import Migration
from evertill.infrastructure.scaling import scale
from evertill.infrastructure.settings import Settings
from evertill.infrastructure.stacks import DataStack, NetworkStack, RegionalStack
from evertill.infrastructure.validation import Validation

# Route 53 keeps its control plane and the metrics of health checks in this region:
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-cloudwatch.html
DNS_REGION = "us-east-1"


class MigrationStack(RegionalStack):
    """What must run before the service does: the migration, and the `cluster` for both.

    It is a stack of its own so that an update has an order: the new image migrates, then it serves.
    """

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        region: str,
        network: NetworkStack,
        data: DataStack,
    ) -> None:
        """Define the migration of `region`, which the runbook starts."""
        super().__init__(
            scope,
            "migration",
            settings,
            region,
            description="Evertill: what brings the database to a release before it serves",
        )
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=self.names.cluster,
            vpc=network.vpc,
            # RunningTaskCount, which an alarm needs, comes from here and from nowhere else.
            container_insights_v2=ecs.ContainerInsights.ENHANCED,
        )
        Migration(self, "Migration", data)
        CfnOutput(self, "ClusterName", value=self.cluster.cluster_name)


class ServiceStack(RegionalStack):
    """What runs in a region: containers, load balancer, firewall, validation function."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        region: str,
        network: NetworkStack,
        data: DataStack,
        *,
        cluster: ecs.ICluster,
        asset: Path,
    ) -> None:
        """Run the service of `region` on its network and data; `asset` is the function's code."""
        super().__init__(
            scope, "service", settings, region, description="Evertill: what runs in a region"
        )
        self.data = data
        self.edge = Edge(self, "Edge", network, data)
        Firewall(self, "Firewall", self.edge, data)
        self.compute = Compute(self, "Compute", network, data, cluster)
        self.edge.take_tasks(self.compute.service)
        scale(settings, region, self.compute.service, self.edge.targets)
        log_metrics.publish(self.compute, settings.suffix, self.compute.task.log_group)
        add_regional_record(self, self.names, self.edge)
        self.validation = Validation(self, "Validation", network, data, asset=asset)
        self.edge.route_validations(self.validation.targets)


class WatchStack(RegionalStack):
    """Who is told when a region fails: topic, alarms, dashboard."""

    def __init__(
        self, scope: Construct, settings: Settings, region: str, service: ServiceStack
    ) -> None:
        """Watch everything of `region`."""
        super().__init__(
            scope, "watch", settings, region, description="Evertill: the alarms of a region"
        )
        alerts = Alerts(self, "Alerts", self.names, self.names.topic, service.data.key)
        alarms = Alarms(self, "Alarms", self.names, alerts)
        add_region_alarm(alarms, add_service_alarms(alarms, service.edge))
        add_server_alarms(alarms, settings)
        add_certificate_alarm(alarms, service.edge.certificate)
        add_validation_alarms(alarms, service.edge, service.validation)
        peer = settings.peer(region)
        if peer is not None:
            # A single region has one role, and nothing would read its state.
            add_replication_alarms(alarms, peer, add_role_alarm(alarms))
            add_log_alarms(alarms, peer)
        add_dashboard(self, alarms, service.edge)


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
        front = Front(self, "Front", self.names)
        # The standby's alarms cannot hear these metrics, so this stack has a topic of its own.
        alerts = Alerts(self, "Alerts", self.names, self.names.named("dns-alerts"))
        add_front_alarms(Alarms(self, "Alarms", self.names, alerts), front.checks)

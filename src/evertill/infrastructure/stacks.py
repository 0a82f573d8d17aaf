"""The stacks that hold what must not be lost, and the ground that they stand on.

A stack here only names its parts and exposes them; each part is a module. They are apart from
`service_stacks` because these change seldom, and most of them are guarded against deletion.
"""

from __future__ import annotations

from aws_cdk import CfnOutput, Environment, Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from evertill.infrastructure.authority import build_lease_table
from evertill.infrastructure.backups import build_backups
from evertill.infrastructure.database import (
    Database,
    Place,
    build_global,
    build_primary,
    build_secondary,
)
from evertill.infrastructure.endpoints import build_endpoints
from evertill.infrastructure.events import build_events
from evertill.infrastructure.keys import build_key, build_vault
from evertill.infrastructure.names import Names
from evertill.infrastructure.network import build_groups, build_vpc
from evertill.infrastructure.settings import RegionSettings, Settings
from evertill.infrastructure.transaction_log import build_access_logs, build_log, copy_to


class RegionalStack(Stack):
    """A stack of one region, named `payment-{kind}-{suffix}`; `names` are that region's."""

    def __init__(
        self,
        scope: Construct,
        kind: str,
        settings: Settings,
        region: str,
        *,
        description: str,
        termination_protection: bool = False,
    ) -> None:
        """Place the stack; its id carries the region, so that `cdk deploy data-us-east-2` works."""
        super().__init__(
            scope,
            f"{kind}-{region}",
            stack_name=f"payment-{kind}-{settings.suffix}",
            env=Environment(account=settings.account, region=region),
            description=description,
            termination_protection=termination_protection,
        )
        self.settings = settings
        self.place = region
        self.names = Names(settings, region)


class KeysStack(RegionalStack):
    """What the other region finds by name, and therefore comes first: `key` and `vault`."""

    def __init__(self, scope: Construct, settings: Settings, region: str) -> None:
        """Build the key and the backup vault of `region`."""
        super().__init__(
            scope,
            "keys",
            settings,
            region,
            description="Evertill: the key for data at rest and the backup vault of a region",
            termination_protection=True,
        )
        self.key = build_key(self, self.names)
        self.vault = build_vault(self, self.names, self.key)


class GlobalStack(RegionalStack):
    """The empty global database and the write lease: what belongs to no single region."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        """Place it in the active region, which has no other meaning than where it is managed."""
        super().__init__(
            scope,
            "global",
            settings,
            settings.active.name,
            description="Evertill: the global database that both clusters join, the write lease",
            termination_protection=True,
        )
        peer = settings.peer(self.place)
        # A single region has a lease too, so that the service knows one way to hold authority.
        build_lease_table(self, self.names, peer, settings.witness_region)
        build_global(self, self.names, settings.database)


class NetworkStack(RegionalStack):
    """A region's network: `vpc` and `groups`."""

    def __init__(
        self, scope: Construct, settings: Settings, region: RegionSettings, keys: KeysStack
    ) -> None:
        """Build the network of `region`."""
        super().__init__(
            scope,
            "network",
            settings,
            region.name,
            description="Evertill: the network of a region",
        )
        network = settings.network
        self.vpc = build_vpc(self, self.names, region, network, keys.key)
        self.groups = build_groups(self, self.vpc)
        zones = region.zones[: network.interface_endpoint_zones]
        build_endpoints(self, self.vpc, self.groups.endpoints, zones)
        CfnOutput(self, "VpcId", value=self.vpc.vpc_id)
        # Where the migration's task runs, which is started by hand.
        private = self.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        CfnOutput(self, "TaskSubnets", value=",".join(private.subnet_ids))
        CfnOutput(self, "TaskSecurityGroup", value=self.groups.tasks.security_group_id)


class DataStack(RegionalStack):
    """What a region keeps: `key`, `database`, `log_bucket`, `access_logs`, `events`."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        region: RegionSettings,
        keys: KeysStack,
        network: NetworkStack,
        *,
        replication: bool,
    ) -> None:
        """Build the stores of `region`; without `replication` the buckets have no rules yet."""
        super().__init__(
            scope,
            "data",
            settings,
            region.name,
            description="Evertill: database, transaction log and backups of a region",
            termination_protection=True,
        )
        self.key = keys.key
        peer = settings.peer(region.name)
        place = Place(network.vpc, network.groups.database, keys.key)
        self.database = self._build_database(place, peer)
        self.access_logs = build_access_logs(self, self.names, settings.log)
        self.events = build_events(self, self.names, keys.key)
        self.log_bucket = build_log(self, self.names, settings.log, keys.key, self.access_logs)
        if replication and peer is not None:
            copy_to(self.log_bucket, self.names, keys.key, peer)
        days = settings.database.backup_copy_days
        build_backups(self, self.names, keys.vault, self.database.cluster, days=days, peer=peer)
        self._tell()

    def _build_database(self, place: Place, peer: str | None) -> Database:
        settings = self.settings.database
        if self.settings.is_active(self.place):
            return build_primary(self, self.names, settings, place, peer)
        return build_secondary(self, self.names, settings, place)

    def _tell(self) -> None:
        """Write the outputs; those of the standby have names of their own."""
        tail = "" if self.settings.is_active(self.place) else "DR"
        CfnOutput(self, f"DatabaseEndpoint{tail}", value=self.database.writer_host)
        CfnOutput(self, f"DatabaseReaderEndpoint{tail}", value=self.database.reader_host)
        CfnOutput(self, f"LogBucketName{tail}", value=self.log_bucket.bucket_name)

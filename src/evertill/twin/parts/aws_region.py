"""What AWS does by itself in one region, put together: the emulator and all that stands before it.

It is the composition of this concern's parts, so that the supervisor has one thing to start for
each region; parts of other concerns come in as handlers, and it knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from evertill.twin.addresses import Addresses
from evertill.twin.api.cloudwatch import CloudWatch
from evertill.twin.api.handled import Handled
from evertill.twin.api.lambda_ import Lambda
from evertill.twin.api.messages import Endpoint
from evertill.twin.api.objects import Objects
from evertill.twin.api.relay import Relay
from evertill.twin.api.secret_names import SecretNames
from evertill.twin.api.server import ApiServer, Guard
from evertill.twin.api.tables import Tables
from evertill.twin.api.topics import Topics
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.metrics import MetricStore
from evertill.twin.part import Part
from evertill.twin.parts.alarms import Alarms
from evertill.twin.parts.certificates import CertificateExpiry
from evertill.twin.parts.emulator import Emulator
from evertill.twin.parts.function import Function, Variables
from evertill.twin.parts.global_tables import GlobalTables
from evertill.twin.parts.log_metrics import LogMetrics
from evertill.twin.parts.mail import Mailbox
from evertill.twin.parts.replication import Replication, replications_of
from evertill.twin.parts.storage import SecretFile, Storage
from evertill.twin.plan.regional import RegionPlan
from evertill.twin.plan.storage import TableSpec
from evertill.twin.processes import Processes

PORT: Final = 4566
# What goes to the emulator as it is.
RELAYED: Final = ("sqs", "sts", "kms", "logs", "iam")


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What all regions of a twin share."""

    clock: Clock
    links: Links
    timeline: Timeline
    store: MetricStore
    processes: Processes
    addresses: Addresses
    folder: Path
    mailbox: Mailbox
    is_up: Callable[[str], bool] = lambda _: True


class AwsGlobal:
    """What no region's loss takes away: strong global tables, and the texts of secrets."""

    def __init__(self, specs: Sequence[TableSpec], common: Common) -> None:
        """Prepare; nothing is started where the templates have no such table."""
        folder = common.folder / "global"
        address = (common.addresses.shared(), PORT)
        self.specs: Final = tuple(specs)
        self.emulator: Final = Emulator(
            "global", address, folder, common.processes, common.timeline
        )
        self.tables: Final = GlobalTables(self.emulator.url, folder / "tables", self.specs)
        self.emulator.again.append(self.tables.start)
        self.relay: Final = Relay(self.emulator.url, lambda: self.emulator.is_ready)
        self.secrets: Final = SecretFile(common.folder / "secrets.json")

    @property
    def parts(self) -> Sequence[Part]:
        """Return the parts in the order of their start."""
        return (self.emulator, self.tables) if self.specs else ()


class AwsRegion:
    """One region's emulator, resources, alarms, functions, copies and their API."""

    def __init__(
        self,
        plan: RegionPlan,
        common: Common,
        *,
        shared: AwsGlobal,
        variables: Variables,
        days_left: Callable[[str], float],
    ) -> None:
        """`variables` tells a role's environment, `days_left` how long a certificate is valid."""
        region, folder = plan.region, common.folder / plan.region
        self.plan: Final = plan
        self._common: Final = common
        self._shared: Final = shared
        self.emulator: Final = Emulator(
            region,
            (common.addresses.take(region, "emulator"), PORT),
            folder,
            common.processes,
            common.timeline,
        )
        self.relay: Final = Relay(self.emulator.url, lambda: self.emulator.is_ready)
        self.storage: Final = Storage(
            region,
            self.emulator.url,
            (*plan.buckets, *plan.topics, *plan.secrets, *plan.tables, *plan.log_groups),
            shared.secrets,
        )
        self.emulator.again.append(self.storage.start)
        # A fault: the region's S3 answers 503 to everybody.
        self.are_objects_stopped = False
        self.topics: Final = Topics(region, self.relay, common.mailbox, plan.topics)
        self.alarms: Final = Alarms(
            region,
            plan.alarms,
            clock=common.clock,
            timeline=common.timeline,
            store=common.store,
            publish=self.topics.publish,
        )
        self.logs: Final = LogMetrics(region, plan.filters, common.clock, common.store)
        self.certificates: Final = CertificateExpiry(
            region, plan.certificates, days_left, common.clock, common.store
        )
        self.functions: Final = tuple(
            Function(
                spec,
                folder / "functions",
                clock=common.clock,
                processes=common.processes,
                metrics=common.store,
                timeline=common.timeline,
                variables=variables,
            )
            for spec in plan.functions
        )
        self.copies: tuple[Replication, ...] = ()
        self._sources: dict[str, list[Replication]] = {}

    def copy_to(self, regions: Sequence[AwsRegion]) -> None:
        """Plan the copies of this region's buckets into those of all regions."""
        common = self._common
        buckets = {spec.name: spec for region in regions for spec in region.plan.buckets}
        urls = {region.plan.region: region.emulator.url for region in regions}
        for bucket in self.plan.buckets:
            for rule, source, destination in replications_of(buckets, urls, bucket):
                copy = Replication(
                    rule,
                    source,
                    destination,
                    clock=common.clock,
                    links=common.links,
                    metrics=common.store,
                    timeline=common.timeline,
                )
                there = next(item for item in regions if item.plan.region == destination.region)
                copy.can_reach = lambda there=there: (  # type: ignore[misc] # bound now
                    self.has_objects and there.has_objects
                )
                self.copies = (*self.copies, copy)
                self._sources.setdefault(bucket.name, []).append(copy)

    @property
    def has_objects(self) -> bool:
        """Tell whether the region's buckets can be reached."""
        return self.emulator.is_ready and not self.are_objects_stopped

    @property
    def parts(self) -> Sequence[Part]:
        """Return what starts first, in its order; copies start when all regions have theirs."""
        return (self.emulator, self.storage, self.logs, self.certificates, *self.functions)

    def endpoints(self, handlers: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
        """Return the endpoints by signing name, `handlers` of other concerns among them."""
        region, common = self.plan.region, self._common
        cloudwatch = CloudWatch(region, common.clock, common.store, self.alarms)
        tables = Tables(
            region,
            self.relay,
            self._shared.relay,
            specs=self._shared.specs,
            links=common.links,
            ledger=self._shared.tables,
            is_up=common.is_up,
        )
        return {
            **dict.fromkeys(RELAYED, self.relay),
            "s3": Objects(self.relay, self._sources, lambda: self.are_objects_stopped),
            "sns": self.topics,
            "secretsmanager": SecretNames(region, self.relay, self.plan.secrets),
            "dynamodb": tables,
            "monitoring": Handled("cloudwatch", cloudwatch),
            "lambda": Handled("lambda", Lambda(self.functions)),
            **handlers,
        }

    def api(self, handlers: Mapping[str, Endpoint], guard: Guard | None = None) -> ApiServer:
        """Return the region's API, which is a part of its own: a lost region's is stopped."""
        address = (self._common.addresses.take(self.plan.region, "api"), PORT)
        return ApiServer(self.plan.region, address, self.endpoints(handlers), guard)

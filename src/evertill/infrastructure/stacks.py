"""The stacks that hold what must not be lost, and the ground that they stand on.

A stack here only names its parts and exposes them; each part is a module. They are apart from
`service_stacks` because these change seldom, and most of them are guarded against deletion.
"""

from __future__ import annotations

from aws_cdk import Environment, Stack
from constructs import Construct

from evertill.infrastructure.names import Names
from evertill.infrastructure.settings import Settings


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


class NetworkStack(RegionalStack):
    """A region's network: `vpc` and `groups`."""

    def __init__(self, scope: Construct, settings: Settings, region: str) -> None:
        """Build the network of `region`."""
        super().__init__(
            scope, "network", settings, region, description="Evertill: the network of a region"
        )


class DataStack(RegionalStack):
    """What a region keeps: `key`, `database`, `log_bucket`, `access_logs`."""

    def __init__(
        self, scope: Construct, settings: Settings, region: str, network: NetworkStack
    ) -> None:
        """Build the stores of `region` inside its network."""
        super().__init__(
            scope,
            "data",
            settings,
            region,
            description="Evertill: keys, database, transaction log and backups of a region",
            termination_protection=True,
        )
        self.network = network

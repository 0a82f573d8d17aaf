"""The composition root of the infrastructure: which stacks there are, and who is given what.

It only wires. Importing it starts Node, so the settings are read before (see `__main__`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from aws_cdk import App, Tags

from evertill.infrastructure.acknowledgements import exemptions
from evertill.infrastructure.acknowledging import acknowledge
from evertill.infrastructure.asset import find_asset
from evertill.infrastructure.service_stacks import (
    DnsStack,
    MigrationStack,
    ServiceStack,
    WatchStack,
)
from evertill.infrastructure.settings import RegionSettings, Settings
from evertill.infrastructure.stacks import DataStack, GlobalStack, KeysStack, NetworkStack

CDK_JSON: Final = Path(__file__).parents[3] / "cdk.json"
# The command line sets these by itself, and warns when it finds them in cdk.json. Constructs' paths
# in the templates are what linters name and what tells them that a template is a CDK's.
METADATA: Final = {"aws:cdk:enable-path-metadata": True, "aws:cdk:enable-asset-metadata": True}


def build(
    settings: Settings,
    out: Path | None = None,
    *,
    replication: bool = True,
    acknowledged: bool = True,
    asset: Path | None = None,
) -> App:
    """Return the app of an environment, not yet synthesized, with cdk.json's feature flags.

    The command line of the CDK hands those flags over by itself; read here too, they make both
    ways write the same templates. Without `replication` the log's buckets come without rules to
    each other, which is how the first deployment begins (see `rollout`). What is not
    `acknowledged` is found by every linter. `asset` is the function's code, else what was built.
    """
    app = App(
        outdir=None if out is None else str(out),
        context={**json.loads(CDK_JSON.read_text())["context"], **METADATA},
        # No resource that reports which constructs are used: the templates are all ours.
        analytics_reporting=False,
    )
    for region in settings.regions:
        if settings.account is not None:
            # The zones are settings. Without this the CDK would ask AWS, which needs credentials.
            key = f"availability-zones:account={settings.account}:region={region.name}"
            app.node.set_context(key, list(region.zones))
    everywhere = GlobalStack(app, settings)
    code = asset or find_asset(settings)
    for region in settings.regions:
        data = _build_region(app, settings, region, code, replication=replication)
        if settings.is_active(region.name):
            # Within the region only: the standby's stacks depend on nothing that may be down.
            data.add_stack_dependency(everywhere, "its cluster joins the global one")
    DnsStack(app, settings)
    Tags.of(app).add("evertill:environment", settings.suffix)
    if acknowledged:
        acknowledge(app, exemptions(settings))
    return app


def _build_region(
    app: App, settings: Settings, region: RegionSettings, asset: Path, *, replication: bool
) -> DataStack:
    keys = KeysStack(app, settings, region.name)
    network = NetworkStack(app, settings, region, keys)
    data = DataStack(app, settings, region, keys, network, replication=replication)
    cluster = MigrationStack(app, settings, region.name, network, data).cluster
    service = ServiceStack(app, settings, region.name, network, data, cluster=cluster, asset=asset)
    WatchStack(app, settings, region.name, service)
    return data

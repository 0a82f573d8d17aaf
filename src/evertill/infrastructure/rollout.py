"""The order of a first deployment, as commands: `python -m evertill.infrastructure prod --order`.

It is separate because no template can say it: no stack refers to another region (decision 0011), so
CloudFormation does not know that the standby's cluster needs the active one's writer, or that S3
takes no replication rule to a bucket that does not exist. Later updates need no order, and the
standby's stacks never wait for the active region's.
"""

from __future__ import annotations

from typing import Final

import msgspec

from evertill.infrastructure.settings import Settings

# npm calls 3.0.0, an old command line, the latest; this one reads what our CDK writes.
CDK: Final = "npx --yes aws-cdk@2.1148.1"

# Aurora clusters are backed up only where the region's settings say so, whatever a plan names:
# https://docs.aws.amazon.com/aws-backup/latest/devguide/assigning-resources-json.html
OPT_IN_REASON: Final = "Let AWS Backup take Aurora clusters, which no template can say"
OPT_IN: Final = (
    "aws backup update-region-settings --region {region} "
    "--resource-type-opt-in-preference Aurora=true"
)

# Only the writer's region can migrate, and at first that is the active one.
MIGRATE: Final = "sh deploy/once.sh {region} {suffix} migrate"


class Step(msgspec.Struct, frozen=True):
    """One command: the stacks that may be deployed together, and why now."""

    why: str
    stacks: tuple[str, ...]
    replication: bool = True
    then: str = ""
    """What has to have been done before the next step."""

    def command(self, source: str) -> str:
        """Return the command line; it deploys these stacks and none that they stand on."""
        context = f"-c {source}" if self.replication else f"-c {source} -c replication=false"
        return f"{CDK} deploy --exclusively {context} {' '.join(self.stacks)}"


def steps(settings: Settings) -> tuple[Step, ...]:
    """Return the steps of a first deployment, in order."""
    active, standby = settings.active.name, settings.standby
    everywhere = [region.name for region in settings.regions]
    data = f"data-{active}"
    first: tuple[Step, ...] = (
        Step("Keys and vaults, which the other region finds by name", _in("keys", everywhere)),
        Step(
            "The networks, the empty global database and the write lease",
            (f"global-{active}", *_in("network", everywhere)),
        ),
        Step(
            "The primary cluster with its writer; the log without a rule to a bucket to come",
            (data,),
            replication=standby is None,
        ),
    )
    if standby is not None:
        first += (
            Step("The secondary joins; its log copies to the first", (f"data-{standby.name}",)),
            Step("Now the first log copies to the second", (data,)),
        )
    return (*first, *_of_the_service(settings, everywhere))


def _of_the_service(settings: Settings, everywhere: list[str]) -> tuple[Step, ...]:
    front = Step(
        "The zone: delegate the domain to its name servers now, or no certificate is issued",
        ("dns-us-east-1",),
    )
    regions = tuple(
        Step(f"What runs in {region}, and its alarms", (f"service-{region}", f"watch-{region}"))
        for region in everywhere
    )
    migrations = Step(
        "What migrates, then the migration itself, which must end with 0 before anything serves",
        _in("migration", everywhere),
        then=MIGRATE.format(region=everywhere[0], suffix=settings.suffix),
    )
    return (front, migrations, *regions)


def _in(kind: str, regions: list[str]) -> tuple[str, ...]:
    return tuple(f"{kind}-{region}" for region in regions)


def script(settings: Settings, source: str) -> str:
    """Return the commands, each under a comment that says why; `source` is their CDK context."""
    opt_ins = "\n".join(OPT_IN.format(region=region.name) for region in settings.regions)
    lines = [f"# {OPT_IN_REASON}.\n{opt_ins}\n"]
    for step in steps(settings):
        commands = [step.command(source), *([step.then] if step.then else [])]
        lines.append("\n".join([f"# {step.why}.", *commands, ""]))
    return "\n".join(lines)

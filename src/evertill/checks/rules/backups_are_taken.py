"""A backup plan selects something, and its copies go to a vault that exists elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import arn, as_list, child
from evertill.assembly.values import split
from evertill.checks.findings import Report

PLAN = "AWS::Backup::BackupPlan"
SELECTION = "AWS::Backup::BackupSelection"
VAULT = "AWS::Backup::BackupVault"


def check(model: Model) -> Iterator[Report]:
    """Look at what each plan is for and where its copies go."""
    for plan in model.resources_of(PLAN):
        if not model.referrers(plan, SELECTION):
            yield Report(
                plan,
                "No selection is assigned to it: it backs up nothing.",
                "Add an AWS::Backup::BackupSelection.",
            )
        for rule in plan.items("BackupPlan.BackupPlanRule"):
            for copy in as_list(child(rule, "CopyActions")):
                yield from _copied(model, plan, child(copy, "DestinationBackupVaultArn"))


def _copied(model: Model, plan: Resource, destination: Value) -> Iterator[Report]:
    named = arn(destination)
    region = named.region if named else None
    if named is None or not isinstance(region, str) or region not in model.regions:
        return
    name = split(named.resource, ":")[-1]
    vaults = [vault for vault in model.resources_of(VAULT) if vault.region == region]
    names = {str(vault.name) for vault in vaults if vault.name is not None}
    if isinstance(name, str) and name != "Default" and name not in names:
        yield Report(
            plan,
            f"Its copies go to the vault {name} in {region}, which the assembly does not create "
            "there: every copy fails.",
            "Create the vault, or name the one that is there.",
        )

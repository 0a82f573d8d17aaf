"""Which rules there are: an explicit table, from a rule's name to what holds it.

It is separate so that adding a rule is one module and one line, and forgetting the line is a
failing test. A rule's sentence is the docstring of its module.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from evertill.checks.findings import Rule
from evertill.checks.rules import (
    access_logs_arrive,
    alarm_action,
    alarm_dimension,
    alarm_lag_region,
    alarm_metric,
    alarm_missing_data,
    alarm_threshold,
    alarm_topic_key,
    backups_are_taken,
    composite_alarm_names,
    dead_letters_arrive,
    deletion_protection,
    domain_is_real,
    draining_fits,
    environment_means,
    environment_names,
    failover_pair,
    function_is_invoked,
    function_timeout,
    global_cluster_members,
    health_check_endpoint,
    iam_database_auth,
    image_is_pinned,
    listener_priorities,
    money_data_is_kept,
    name_is_certified,
    names_are_unique,
    networks_do_not_overlap,
    no_pinned_count,
    replica_has_source,
    replication_is_possible,
    service_waits_for_listener,
    standby_capacity,
    standby_cluster_is_global,
    standby_deploys_alone,
    strong_tables_have_a_quorum,
    target_group_probe,
    tls_on_443,
    way_out,
    way_to_database,
    way_to_tasks,
    zone_exists,
    zone_loss_database,
    zone_loss_nat,
    zone_loss_tasks,
)

_MODULES: Final = (
    access_logs_arrive,
    alarm_action,
    alarm_dimension,
    alarm_lag_region,
    alarm_metric,
    alarm_missing_data,
    alarm_threshold,
    alarm_topic_key,
    backups_are_taken,
    composite_alarm_names,
    dead_letters_arrive,
    deletion_protection,
    domain_is_real,
    draining_fits,
    environment_means,
    environment_names,
    failover_pair,
    function_is_invoked,
    function_timeout,
    global_cluster_members,
    health_check_endpoint,
    iam_database_auth,
    image_is_pinned,
    listener_priorities,
    money_data_is_kept,
    name_is_certified,
    names_are_unique,
    networks_do_not_overlap,
    no_pinned_count,
    replica_has_source,
    replication_is_possible,
    service_waits_for_listener,
    standby_capacity,
    standby_cluster_is_global,
    standby_deploys_alone,
    strong_tables_have_a_quorum,
    target_group_probe,
    tls_on_443,
    way_out,
    way_to_database,
    way_to_tasks,
    zone_exists,
    zone_loss_database,
    zone_loss_nat,
    zone_loss_tasks,
)

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {module.__name__.rpartition(".")[2].replace("_", "-"): module.check for module in _MODULES}
)

_PAGE: Final = """# Rules over a cloud assembly

`evertill check PATH` reads a `cdk.out`, or any folder of `*.template.json`, and reports what
linters pass and AWS would break. It works on any app's templates, needs no AWS account, and says
nothing of what the templates do not tell: a value that is only known after a deployment is never a
finding.

`--json` prints `{{"findings": [{{"rule", "resource", "stack", "consequence", "fix"}}]}}`. The exit
status is 0 without findings, 1 with some, 2 when PATH cannot be used. No rule has been tried
against an AWS account; the modules in `src/evertill/checks/rules/` name the AWS pages they rest on.

The templates cannot tell whether a database user exists, whether an image starts, or whether a name
that belongs to another app is right. A rule may be broken on purpose, in a test environment for
instance; there is no way to silence one.

The {count} rules:

| Rule | What it holds |
|---|---|
{rows}
"""


def sentence(name: str) -> str:
    """Return the sentence of the rule with that name."""
    documented = sys.modules[RULES[name].__module__].__doc__ or ""
    return documented.splitlines()[0]


def reference() -> str:
    """Return docs/reference/rules.md, which a test compares with the rules."""
    rows = "\n".join(f"| `{name}` | {sentence(name)} |" for name in RULES)
    return _PAGE.format(count=len(RULES), rows=rows)

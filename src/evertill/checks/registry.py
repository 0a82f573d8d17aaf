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


def sentence(name: str) -> str:
    """Return the sentence of the rule with that name."""
    documented = sys.modules[RULES[name].__module__].__doc__ or ""
    return documented.splitlines()[0]

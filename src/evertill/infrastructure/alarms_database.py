"""Alarms about the database: how far the standby is behind, and whether a server is in trouble.

All metrics are published by RDS once a minute to AWS/RDS in the region of the cluster that they are
about, under DBInstanceIdentifier and, over all instances of a cluster, under DBClusterIdentifier.
Roles swap, so nothing here names a WRITER or a READER.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/dimensions.html

Under which dimensions the AuroraGlobalDB metrics are published is told nowhere for certain. AWS's
own lab finds them in the console under `DBClusterIdentifier, SourceRegion` and draws them under
DBClusterIdentifier alone (https://awsauroralabsmy.com/global/cw/); Neptune, which has the same kind
of cluster, names the pair. An alarm on dimensions that nobody publishes never rings, so each figure
has two alarms here, one for each form: the wrong one is silent and costs ten cents a month.

These metrics exist only in the region that is the secondary at the moment. A
number can therefore only come from a standby, and needs no gate. That numbers *stop* is what needs
one: a cut link may show as silence, and in the writer's region silence is normal. So silence rings
only where the region's own service has not been able to write for a while (see `alarms_role`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from evertill.infrastructure.alarm_names import REPLICATION_LAG, REPLICATION_SILENT, RPO_LAG
from evertill.infrastructure.alarms import Alarms, above, below, published
from evertill.infrastructure.database import instance_names
from evertill.infrastructure.names import Names
from evertill.infrastructure.settings import ServiceSettings, Settings

SPACE: Final = "AWS/RDS"
LAG: Final = "AuroraGlobalDBReplicationLag"
# Usually under a second. Ten seconds in two minutes of three is told at most three minutes after a
# link was cut, two before the objective of five minutes is spent.
LAG_MS_MAX: Final = 10_000
# Below the 20 s at which the guard (rds.global_db_rpo) begins to hold commits back: whoever hears
# this can still decide whether to lift it.
RPO_LAG_MS_MAX: Final = 15_000
CPU_PERCENT_MAX: Final = 80
FREE_MEMORY_SHARE_MIN: Final = 0.05
GIB_PER_XLARGE: Final = {"r": 32, "x": 64}
# What a task's two workers open at most, each a pool of four, a committer, a relay for the log, the
# webhooks and the topic, and a reader's pool of four, which leads to the writer where it is alone.
CONNECTIONS_PER_TASK: Final = 24
CONNECTIONS_PER_FUNCTION: Final = 2
CONNECTIONS_OF_OTHERS: Final = 50
# Locks are taken in one order everywhere, so there should be none at all.
DEADLOCKS_PER_S_MAX: Final = 0.05


def add_replication_alarms(alarms: Alarms, peer: str, writer: cloudwatch.Alarm) -> None:
    """Add the alarms about lag and silence of the global database, in either region."""
    silences = []
    for tail, dimensions in forms(alarms.names, peer).items():
        alarms.ring(
            f"{REPLICATION_LAG}{tail}",
            published(SPACE, LAG, "Maximum", dimensions),
            f"The standby's storage is more than {LAG_MS_MAX // 1000} s behind the writer's. "
            "A failover now would lose that much.",
            # The writer's region never has this metric; silence in a standby has its own alarm.
            above(LAG_MS_MAX, (2, 3)),
        )
        alarms.ring(
            f"{RPO_LAG}{tail}",
            published(SPACE, "AuroraGlobalDBRPOLag", "Maximum", dimensions),
            f"The last {RPO_LAG_MS_MAX // 1000} s of commits are not in the standby. At 20 s the "
            "guard holds payments back: decide about lifting it.",
            # One minute is enough to hear of it: payments stop five seconds of lag later.
            above(RPO_LAG_MS_MAX, (1, 1)),
        )
        silences.append(_silence(alarms, tail, dimensions))
    alarms.ring_when(
        REPLICATION_SILENT,
        cloudwatch.AlarmRule.all_of(
            *map(_is_on, silences), cloudwatch.AlarmRule.not_(_is_on(writer))
        ),
        "This region is not the writer and has had no figures of replication for three minutes: "
        "nobody knows how far behind it is.",
    )


def forms(names: Names, peer: str) -> dict[str, dict[str, str]]:
    """Return the dimensions that replication may be published under, by the alarms' endings."""
    cluster = {"DBClusterIdentifier": names.database}
    return {"": {**cluster, "SourceRegion": peer}, "-by-cluster": cluster}


def _silence(alarms: Alarms, tail: str, dimensions: Mapping[str, str]) -> cloudwatch.Alarm:
    return alarms.ring(
        f"{REPLICATION_SILENT}-signal{tail}",
        published(SPACE, LAG, "SampleCount", dimensions),
        "There are no figures of replication here, as is normal in the writer's region.",
        below(1, (3, 3)),
        is_told=False,
    )


def add_server_alarms(alarms: Alarms, settings: Settings) -> None:
    """Add the alarms about the cluster's instances, writer or reader.

    Processor and memory are published for as long as an instance lives: missing means it does not.
    The cluster's figures go on while any instance does, so the processor is watched at each.
    """
    database = {"DBClusterIdentifier": alarms.names.database}
    for number, instance in enumerate(instance_names(alarms.names), 1):
        alarms.ring(
            f"db-cpu-{number}",
            published(SPACE, "CPUUtilization", "Maximum", {"DBInstanceIdentifier": instance}),
            f"{instance} has been above {CPU_PERCENT_MAX} % of its processor, or gone, for five "
            "minutes.",
            above(CPU_PERCENT_MAX, (5, 5), missing_rings=True),
        )
    alarms.ring(
        "db-free-memory",
        published(SPACE, "FreeableMemory", "Minimum", database),
        "A database instance has less than a twentieth of its memory left.",
        below(FREE_MEMORY_SHARE_MIN * memory_bytes(settings.database.instance_class), (5, 5)),
    )
    alarms.ring(
        "db-connections",
        published(SPACE, "DatabaseConnections", "Maximum", database),
        "The database has more connections than all tasks and functions together may open.",
        # Told by db-cpu already, which misses its data at the same moment.
        above(connections_max(settings.service), (3, 3)),
    )
    alarms.ring(
        "db-deadlocks",
        published(SPACE, "Deadlocks", "Maximum", database),
        "The database breaks deadlocks, which the service's order of locks rules out.",
        above(DEADLOCKS_PER_S_MAX, (3, 5)),
    )


def connections_max(service: ServiceSettings) -> int:
    """Return how many connections all who may log in open together at most."""
    tasks = service.tasks_max * CONNECTIONS_PER_TASK
    functions = service.validation_concurrency * CONNECTIONS_PER_FUNCTION
    return tasks + functions + CONNECTIONS_OF_OTHERS


def memory_bytes(instance_class: str) -> int:
    """Return the memory of an instance class: sizes double what `xlarge` has, or halve it."""
    family, _, size = instance_class.partition(".")
    times = re.fullmatch(r"([0-9]*)xlarge", size)
    share = 0.5 if times is None else float(times[1] or 1)
    return int(share * GIB_PER_XLARGE[family[0]] * (1 << 30))


def _is_on(alarm: cloudwatch.Alarm) -> cloudwatch.IAlarmRule:
    return cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)

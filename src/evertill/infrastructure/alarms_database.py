"""Alarms about the database: how far the standby is behind, and whether a server is in trouble.

All metrics are published by RDS once a minute to AWS/RDS in the region of the cluster that they are
about, with the dimension DBClusterIdentifier alone, over all instances of that cluster. Roles swap,
so nothing here names a WRITER or a READER.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html

The three AuroraGlobalDB metrics exist only in the region that is the secondary at the moment. A
number can therefore only come from a standby, and needs no gate. That numbers *stop* is what needs
one: a cut link may show as silence, and in the writer's region silence is normal. So silence rings
only where the region's own service has not been able to write for a while (see `alarms_role`).
"""

from __future__ import annotations

import re
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from evertill.infrastructure.alarm_names import REPLICATION_LAG, REPLICATION_SILENT, RPO_LAG
from evertill.infrastructure.alarms import Alarms, above, below, published
from evertill.infrastructure.settings import Settings

SPACE: Final = "AWS/RDS"
# Usually under a second. Ten seconds in two minutes of three is told at most three minutes after a
# link was cut, two before the objective of five minutes is spent.
LAG_MS_MAX: Final = 10_000
# Below the 20 s at which the guard (rds.global_db_rpo) begins to hold commits back: whoever hears
# this can still decide whether to lift it.
RPO_LAG_MS_MAX: Final = 15_000
CPU_PERCENT_MAX: Final = 80
FREE_MEMORY_SHARE_MIN: Final = 0.05
GIB_PER_XLARGE: Final = {"r": 32, "x": 64}
# What a task opens at most: two workers with a pool of four and a committer each, and one spare.
CONNECTIONS_PER_TASK: Final = 11
CONNECTIONS_OF_OTHERS: Final = 50
# Locks are taken in one order everywhere, so there should be none at all.
DEADLOCKS_PER_S_MAX: Final = 0.05


def add_replication_alarms(alarms: Alarms, writer: cloudwatch.Alarm) -> None:
    """Add the alarms about lag and silence of the global database, in either region."""
    database = {"DBClusterIdentifier": alarms.names.database}
    alarms.ring(
        REPLICATION_LAG,
        published(SPACE, "AuroraGlobalDBReplicationLag", "Maximum", database),
        f"The standby's storage is more than {LAG_MS_MAX // 1000} s behind the writer's. "
        "A failover now would lose that much.",
        # The writer's region never has this metric; silence in a standby is the third alarm's.
        above(LAG_MS_MAX, (2, 3)),
    )
    alarms.ring(
        RPO_LAG,
        published(SPACE, "AuroraGlobalDBRPOLag", "Maximum", database),
        f"The last {RPO_LAG_MS_MAX // 1000} s of commits are not in the standby. At 20 s the guard "
        "holds payments back: decide about lifting it.",
        # One minute is enough to hear of it: payments stop five seconds of lag later.
        above(RPO_LAG_MS_MAX, (1, 1)),
    )
    silence = alarms.ring(
        f"{REPLICATION_SILENT}-signal",
        published(SPACE, "AuroraGlobalDBReplicationLag", "SampleCount", database),
        "There are no figures of replication here, as is normal in the writer's region.",
        below(1, (3, 3)),
        is_told=False,
    )
    alarms.ring_when(
        REPLICATION_SILENT,
        cloudwatch.AlarmRule.all_of(_is_on(silence), cloudwatch.AlarmRule.not_(_is_on(writer))),
        "This region is not the writer and has had no figures of replication for three minutes: "
        "nobody knows how far behind it is.",
    )


def add_server_alarms(alarms: Alarms, settings: Settings) -> None:
    """Add the alarms about the cluster's instances, writer or reader.

    Processor and memory are published for as long as an instance lives: missing means it does not.
    """
    database = {"DBClusterIdentifier": alarms.names.database}
    alarms.ring(
        "db-cpu",
        published(SPACE, "CPUUtilization", "Maximum", database),
        f"A database instance has been above {CPU_PERCENT_MAX} % of its processor, or gone, for "
        "five minutes.",
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
        "The database has more connections than all tasks together may open.",
        # Told by db-cpu already, which misses its data at the same moment.
        above(settings.service.tasks_max * CONNECTIONS_PER_TASK + CONNECTIONS_OF_OTHERS, (3, 3)),
    )
    alarms.ring(
        "db-deadlocks",
        published(SPACE, "Deadlocks", "Maximum", database),
        "The database breaks deadlocks, which the service's order of locks rules out.",
        above(DEADLOCKS_PER_S_MAX, (3, 5)),
    )


def memory_bytes(instance_class: str) -> int:
    """Return the memory of an instance class: sizes double what `xlarge` has, or halve it."""
    family, _, size = instance_class.partition(".")
    times = re.fullmatch(r"([0-9]*)xlarge", size)
    share = 0.5 if times is None else float(times[1] or 1)
    return int(share * GIB_PER_XLARGE[family[0]] * (1 << 30))


def _is_on(alarm: cloudwatch.Alarm) -> cloudwatch.IAlarmRule:
    return cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)

"""Which role a region has, as the state of an alarm that others refer to.

It is separate because it is no trouble by itself. AWS publishes no such thing: the metric is made
of what the service logs (see `log_metrics`).
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from evertill.infrastructure import log_metrics
from evertill.infrastructure.alarm_names import REGION_WRITER
from evertill.infrastructure.alarms import Alarms, above

# A writer whose database is down cannot write either. It stays the writer for this long, so that
# nobody is told during an outage that replication to it is silent.
REMEMBERED_MIN: Final = 30


def add_role_alarm(alarms: Alarms) -> cloudwatch.Alarm:
    """Return the alarm that is on while this region writes. It is a state and nobody is told.

    Missing data means that no task runs here or that the log is late, which changes nothing.
    """
    return alarms.ring(
        REGION_WRITER,
        log_metrics.role(alarms.names.suffix),
        f"This region could write within the last {REMEMBERED_MIN} minutes. It is a state that "
        "other alarms refer to, and no trouble.",
        above(0, (1, REMEMBERED_MIN)),
        is_told=False,
    )

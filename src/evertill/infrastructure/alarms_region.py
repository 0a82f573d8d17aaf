"""The one alarm that wakes somebody: the region is failing.

It is separate because it is about other alarms. It rings when any of the signs below is on in the
region; each of them is told by itself too, and this one is what recovery's runbook begins with. It
is as quick as the quickest of them, two minutes. In a standby it means that there is nothing to
fail over to.
"""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch

from evertill.infrastructure.alarm_names import REGION_FAILING
from evertill.infrastructure.alarms import Alarms
from evertill.infrastructure.alarms_service import ServiceAlarms


def add_region_alarm(alarms: Alarms, service: ServiceAlarms) -> None:
    """Add the alarm that stands for all of the region's signs of failure."""
    signs = [
        cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM) for alarm in service
    ]
    alarms.ring_when(
        REGION_FAILING,
        cloudwatch.AlarmRule.any_of(*signs),
        "This region fails its clients, or could not take over. Begin with the failover runbook.",
    )

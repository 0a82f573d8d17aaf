"""Log groups that are encrypted, are kept for a stated time, and say so in one place.

They are separate because containers, firewall and function all need one, each a little different
from the default that AWS would make without asking: unencrypted and for ever.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from evertill.infrastructure.stacks import DataStack

# CloudWatch keeps logs for these numbers of days and no others:
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_DAYS: Final = {
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}


def retention(days: int) -> logs.RetentionDays:
    """Return the shortest time on offer that is at least `days`."""
    return _DAYS[min((offer for offer in _DAYS if offer >= days), default=max(_DAYS))]


def log_group(scope: Construct, name: str, data: DataStack) -> logs.LogGroup:
    """Return a log group under the region's key, kept for as long as access logs are.

    It goes with its stack: logs are no money, and one that stayed would block the stack's return.
    """
    return logs.LogGroup(
        scope,
        "Logs",
        log_group_name=name,
        encryption_key=data.key,
        retention=retention(data.settings.log.access_log_days),
        removal_policy=RemovalPolicy.DESTROY,
    )

"""How an alarm is made here: by name, with a decision about missing data, and told to people.

It is separate from the alarms themselves so that each of them says only what is its own. For all of
them: the alarm and its end (OK) are both told, since whoever was called wants to know when it is
over. INSUFFICIENT_DATA is told to nobody, because no alarm here rests in it: each decides what
missing data means, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from evertill.infrastructure.alarm_names import alarm_name
from evertill.infrastructure.alerts import Alerts
from evertill.infrastructure.names import Names

# What AWS publishes, it publishes once a minute; asking more often would cost and show nothing.
PERIOD_S: Final = 60
Missing = cloudwatch.TreatMissingData
Compare = cloudwatch.ComparisonOperator


class When(NamedTuple):
    """When an alarm rings: so many of so many `minutes` are beyond the threshold.

    `missing_rings` is the decision about minutes without data, for which each caller gives its
    reason.
    """

    compare: cloudwatch.ComparisonOperator
    threshold: float
    minutes: tuple[int, int]
    missing_rings: bool


def above(threshold: float, minutes: tuple[int, int], *, missing_rings: bool = False) -> When:
    """Ring above a threshold; unless told otherwise, a minute without data is a quiet one."""
    return When(Compare.GREATER_THAN_THRESHOLD, threshold, minutes, missing_rings)


def below(threshold: float, minutes: tuple[int, int], *, missing_rings: bool = True) -> When:
    """Ring below a threshold; unless told otherwise, a minute without data is below it."""
    return When(Compare.LESS_THAN_THRESHOLD, threshold, minutes, missing_rings)


class Alarms(Construct):
    """Makes the alarms of one stack, in one region, speaking to one topic."""

    def __init__(self, scope: Construct, construct_id: str, names: Names, alerts: Alerts) -> None:
        """Name alarms as `names` does and tell them to `alerts`."""
        super().__init__(scope, construct_id)
        self.names = names
        self._alerts = alerts

    def ring(
        self,
        what: str,
        metric: cloudwatch.IMetric,
        says: str,
        when: When,
        *,
        is_told: bool = True,
    ) -> cloudwatch.Alarm:
        """Return an alarm about one figure."""
        alarm = cloudwatch.Alarm(
            self,
            what,
            alarm_name=alarm_name(self.names, what),
            alarm_description=says,
            metric=metric,
            comparison_operator=when.compare,
            threshold=when.threshold,
            datapoints_to_alarm=when.minutes[0],
            evaluation_periods=when.minutes[1],
            treat_missing_data=Missing.BREACHING if when.missing_rings else Missing.NOT_BREACHING,
        )
        if is_told:
            self._tell(alarm)
        return alarm

    def ring_when(
        self, what: str, rule: cloudwatch.IAlarmRule, says: str
    ) -> cloudwatch.CompositeAlarm:
        """Return an alarm about other alarms."""
        alarm = cloudwatch.CompositeAlarm(
            self,
            what,
            composite_alarm_name=alarm_name(self.names, what),
            alarm_description=says,
            alarm_rule=rule,
        )
        self._tell(alarm)
        return alarm

    def _tell(self, alarm: cloudwatch.AlarmBase) -> None:
        alarm.add_alarm_action(self._alerts.action)
        alarm.add_ok_action(self._alerts.action)


def published(
    namespace: str,
    name: str,
    statistic: str,
    dimensions: Mapping[str, str],
    period_s: int = PERIOD_S,
) -> cloudwatch.Metric:
    """Return a metric as its publisher names it, in the region of the stack that asks."""
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        statistic=statistic,
        period=Duration.seconds(period_s),
        dimensions_map=dict(dimensions),
    )


def math(expression: str, label: str, **metrics: cloudwatch.IMetric) -> cloudwatch.MathExpression:
    """Return a figure made of metrics; it is missing wherever one that it needs is missing."""
    return cloudwatch.MathExpression(
        expression=expression,
        label=label,
        using_metrics=metrics,
        period=Duration.seconds(PERIOD_S),
    )

"""From the templates' alarms to what is evaluated: metrics with their dimensions as texts.

What CloudWatch would do and the twin does not (anomaly detection, Metrics Insights, other accounts)
is refused by the alarm's name: an alarm that never fires is worse than none.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from evertill.assembly import Model, Resource
from evertill.twin import composite, metric_math
from evertill.twin.alarming import COMPARISONS, Missing, Rule
from evertill.twin.errors import TwinError
from evertill.twin.metrics import Dimensions, MetricId, is_statistic
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.identity import arn_of, physical_name

METRIC_ALARM: Final = "AWS::CloudWatch::Alarm"
COMPOSITE_ALARM: Final = "AWS::CloudWatch::CompositeAlarm"
# An alarm's own metric has this id where it is not a list of queries.
SINGLE: Final = "m"
QUERIES_MAX: Final = 20
SEARCH: Final = re.compile(r"\bSELECT\b|SEARCH\(|METRICS\(|ANOMALY_DETECTION_BAND", re.IGNORECASE)
DYNAMODB: Final = "AWS/DynamoDB"


class AlarmUnsupported(TwinError):
    """The twin cannot evaluate an alarm of the templates."""

    code = "alarm_unsupported"


class Actions(msgspec.Struct, frozen=True, kw_only=True):
    """The ARNs that are told of each state, and whether they are."""

    enabled: bool = True
    alarm: tuple[str, ...] = ()
    ok: tuple[str, ...] = ()
    insufficient_data: tuple[str, ...] = ()


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One metric or one expression; `expression` is empty for a metric."""

    id: str
    label: str = ""
    metric: MetricId | None = None
    statistic: str = ""
    expression: str = ""
    returns: bool = True


class AlarmSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A metric alarm: the queries' one returned series is compared every period."""

    region: str
    name: str
    arn: str
    description: str
    queries: tuple[Query, ...]
    period_s: int
    rule: Rule
    actions: Actions
    ignores_few_samples: bool = False


class CompositeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A composite alarm: its rule is decided whenever one of the others changes."""

    region: str
    name: str
    arn: str
    description: str
    rule: str
    actions: Actions
    # The alarm that keeps this one from acting while it is in alarm itself; none when empty.
    suppressor: str = ""
    wait_s: float = 0.0
    extension_s: float = 0.0


def alarm_spec(resource: Resource, bindings: Bindings) -> AlarmSpec:
    """Return what is evaluated for an alarm; raise AlarmUnsupported for what cannot be."""
    reader = _Reader(resource, bindings)
    queries, period_s = reader.queries()
    periods = reader.whole("EvaluationPeriods")
    comparison = reader.text("ComparisonOperator")
    if comparison not in COMPARISONS or resource.has("ThresholdMetricId"):
        raise reader.unsupported(f"its comparison is {comparison}")
    namespaces = {query.metric.namespace for query in queries if query.metric}
    default = Missing.IGNORE if namespaces == {DYNAMODB} else Missing.MISSING
    rule = Rule(
        comparison=comparison,
        threshold=reader.number("Threshold"),
        evaluation_periods=periods,
        datapoints_to_alarm=reader.whole("DatapointsToAlarm", periods),
        missing=Missing(reader.text("TreatMissingData", default)),
    )
    return AlarmSpec(
        region=reader.region,
        name=reader.name,
        arn=str(arn_of(resource)),
        description=reader.text("AlarmDescription", ""),
        queries=queries,
        period_s=period_s,
        rule=rule,
        actions=reader.actions(),
        ignores_few_samples=resource.text("EvaluateLowSampleCountPercentile") == "ignore",
    )


def composite_spec(model: Model, resource: Resource, bindings: Bindings) -> CompositeSpec:
    """Return what is decided for a composite alarm; raise AlarmUnsupported for what cannot be."""
    reader = _Reader(resource, bindings)
    rule = reader.text("AlarmRule")
    known = {
        text
        for other in model.resources_of(METRIC_ALARM, COMPOSITE_ALARM)
        if other.region == resource.region
        for text in (physical_name(other), arn_of(other))
    }
    suppressor = reader.text("ActionsSuppressor", "")
    for other in (*composite.parse(rule)[1], *filter(None, [suppressor])):
        if other not in known:
            raise reader.unsupported(f"it watches {other}, which no template has")
    return CompositeSpec(
        region=reader.region,
        name=reader.name,
        arn=str(arn_of(resource)),
        description=reader.text("AlarmDescription", ""),
        rule=rule,
        suppressor=suppressor,
        wait_s=reader.number("ActionsSuppressorWaitPeriod", 0.0),
        extension_s=reader.number("ActionsSuppressorExtensionPeriod", 0.0),
        actions=reader.actions(),
    )


class _Reader:
    """Reads one alarm's properties; what is missing or unknown is told by the alarm's name."""

    def __init__(self, resource: Resource, bindings: Bindings) -> None:
        self._resource = resource
        self._bindings = bindings
        self.name = physical_name(resource)
        self.region = resource.region or ""

    def unsupported(self, why: str) -> AlarmUnsupported:
        return AlarmUnsupported(f"The twin cannot evaluate the alarm {self.name}: {why}.")

    def text(self, path: str, default: str | None = None) -> str:
        value = self._resource.get(path)
        if value is None and default is not None:
            return default
        if value is None:
            raise self.unsupported(f"it has no {path}")
        return self._bindings.text(value)

    def number(self, path: str, default: float | None = None) -> float:
        value = self._resource.number(path, default)
        if value is None:
            raise self.unsupported(f"it has no {path}")
        return value

    def whole(self, path: str, default: float | None = None) -> int:
        return int(self.number(path, default))

    def actions(self) -> Actions:
        def arns(path: str) -> tuple[str, ...]:
            return tuple(map(self._bindings.text, self._resource.items(path)))

        return Actions(
            enabled=self._resource.flag("ActionsEnabled", default=True) is True,
            alarm=arns("AlarmActions"),
            ok=arns("OKActions"),
            insufficient_data=arns("InsufficientDataActions"),
        )

    def queries(self) -> tuple[tuple[Query, ...], int]:
        """Return the queries and the one period that all of them have."""
        if not self._resource.has("Metrics"):
            statistic = self.text("ExtendedStatistic", "") or self.text("Statistic", "")
            metric = self._metric("", statistic)
            return (Query(id=SINGLE, metric=metric, statistic=statistic),), self.whole("Period")
        count = len(self._resource.items("Metrics"))
        if count > QUERIES_MAX:
            raise self.unsupported(f"it has more than {QUERIES_MAX} queries")
        queries = tuple(self._query(f"Metrics.{index}") for index in range(count))
        periods = {
            self.whole(f"Metrics.{index}.MetricStat.Period")
            for index in range(count)
            if self._resource.has(f"Metrics.{index}.MetricStat")
        }
        if len(periods) != 1:
            raise self.unsupported("its metrics have no one period")
        if sum(query.returns for query in queries) != 1:
            raise self.unsupported("it returns no single series")
        return queries, periods.pop()

    def _query(self, path: str) -> Query:
        returns = self._resource.flag(f"{path}.ReturnData", default=True) is True
        label = self.text(f"{path}.Label", "")
        identity = self.text(f"{path}.Id")
        if self._resource.has(f"{path}.AccountId"):
            raise self.unsupported("it looks into another account")
        expression = self.text(f"{path}.Expression", "")
        if not expression:
            statistic = self.text(f"{path}.MetricStat.Stat")
            metric = self._metric(f"{path}.MetricStat.Metric.", statistic)
            return Query(
                id=identity, label=label, metric=metric, statistic=statistic, returns=returns
            )
        if SEARCH.search(expression):
            raise self.unsupported(f"its expression is {expression}")
        metric_math.parse(expression)
        return Query(id=identity, label=label, expression=expression, returns=returns)

    def _metric(self, prefix: str, statistic: str) -> MetricId:
        if not is_statistic(statistic):
            raise self.unsupported(f"its statistic is {statistic or 'none'}")
        return MetricId(
            self.region,
            self.text(f"{prefix}Namespace"),
            self.text(f"{prefix}MetricName"),
            self._dimensions(f"{prefix}Dimensions"),
        )

    def _dimensions(self, path: str) -> Dimensions:
        count = len(self._resource.items(path))
        return tuple(
            sorted(
                (self.text(f"{path}.{index}.Name"), self.text(f"{path}.{index}.Value"))
                for index in range(count)
            )
        )

"""CloudWatch's API: metrics and alarms as they are, nothing made up.

Alarms come from the templates: they can be looked at, told to act or not, and set by hand as a
test of who is told, but neither made nor deleted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from evertill.twin import metric_math
from evertill.twin.alarming import State
from evertill.twin.api.errors import ApiError
from evertill.twin.clock import Clock
from evertill.twin.metrics import Dimensions, MetricId, MetricStore, dimensions_of, is_statistic
from evertill.twin.parts.alarms import Alarms, Standing
from evertill.twin.plan.alarms import AlarmSpec, CompositeSpec, Query

DATAPOINTS_MAX: Final = 1_440
METRICS_PER_ANSWER_MAX: Final = 500
NOT_FOUND: Final = 404
Answer = dict[str, Any]


class CloudWatch:
    """Answers for one region."""

    def __init__(self, region: str, clock: Clock, store: MetricStore, alarms: Alarms) -> None:
        """Answer from `store` and `alarms`."""
        self._region: Final = region
        self._clock: Final = clock
        self._store: Final = store
        self._alarms: Final = alarms

    async def put_metric_data(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Take values, each alone, as lists with counts, or as ready statistics."""
        for datum in parameters.get("MetricData", []):
            metric = self._metric(
                parameters["Namespace"], datum["MetricName"], datum.get("Dimensions", [])
            )
            at = datum.get("Timestamp")
            at_s = at.timestamp() if at else self._clock.epoch_s()
            unit = datum.get("Unit", "None")
            for value, times in _values_of(datum):
                self._store.add(metric, value, unit, at_s, times)
        return {}

    async def list_metrics(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """List the metrics that something was published for."""
        wanted = {(d["Name"], d.get("Value")) for d in parameters.get("Dimensions", [])}
        found = [
            {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": _listed(metric.dimensions),
            }
            for metric, _ in self._store.known(self._region)
            if parameters.get("Namespace") in {None, metric.namespace}
            and parameters.get("MetricName") in {None, metric.name}
            and all(_has(metric.dimensions, name, value) for name, value in wanted)
        ]
        return {"Metrics": found[:METRICS_PER_ANSWER_MAX]}

    async def get_metric_statistics(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Return the statistics of one metric, period by period; empty periods are left out."""
        metric = self._metric(
            parameters["Namespace"], parameters["MetricName"], parameters.get("Dimensions", [])
        )
        extended = parameters.get("ExtendedStatistics", [])
        statistics = [*parameters.get("Statistics", []), *extended]
        if not statistics or not all(map(is_statistic, statistics)):
            raise ApiError("InvalidParameterValue", f"The twin has no statistic {statistics}.")
        period_s = parameters["Period"]
        points: list[Answer] = []
        for start in _starts(parameters, period_s):
            bucket = self._store.window(metric, start, start + period_s)
            if bucket is None:
                continue
            point: Answer = {"Timestamp": _moment(start), "Unit": self._store.unit(metric)}
            point |= {name: bucket.statistic(name) for name in parameters.get("Statistics", [])}
            if extended:
                point["ExtendedStatistics"] = {name: bucket.statistic(name) for name in extended}
            points.append(point)
        return {"Label": metric.name, "Datapoints": points}

    async def get_metric_data(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Return several series and expressions over them."""
        queries = parameters["MetricDataQueries"]
        periods = [q["MetricStat"]["Period"] for q in queries if "MetricStat" in q]
        starts = _starts(parameters, min(periods, default=60))
        series = {
            q["Id"]: self._series(q["MetricStat"], starts) for q in queries if "MetricStat" in q
        }
        for query in (q for q in queries if q.get("Expression")):
            tree = metric_math.parse(query["Expression"])
            if not metric_math.names(tree) <= set(series):
                raise ApiError("ValidationError", f"{query['Id']} uses an id that is not there.")
            series[query["Id"]] = metric_math.compute(tree, series, len(starts))
        order = (
            -1 if parameters.get("ScanBy", "TimestampDescending") == "TimestampDescending" else 1
        )
        results = [
            _result(query, starts, series[query["Id"]], order)
            for query in queries
            if query.get("ReturnData", True)
        ]
        return {"MetricDataResults": results}

    async def describe_alarms(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Describe the alarms, of one state or of some names only when asked."""
        names = parameters.get("AlarmNames")
        prefix = parameters.get("AlarmNamePrefix", "")
        kinds = parameters.get("AlarmTypes", ["MetricAlarm"])
        found = [
            standing
            for standing in self._alarms.standings()
            if (names is None or standing.spec.name in names)
            and standing.spec.name.startswith(prefix)
            and parameters.get("StateValue") in {None, str(standing.state)}
        ]
        metric = [_described(s, s.spec) for s in found if isinstance(s.spec, AlarmSpec)]
        composites = [_composite(s, s.spec) for s in found if isinstance(s.spec, CompositeSpec)]
        # Composites are told only to who asks for them, by their type or by their name.
        return {
            "MetricAlarms": metric if "MetricAlarm" in kinds or names else [],
            "CompositeAlarms": composites if "CompositeAlarm" in kinds or names else [],
        }

    async def describe_alarm_history(self, **parameters: Any) -> Answer:  # noqa: ANN401 - as above
        """Return the changes of state, the newest first."""
        items = [
            {
                "AlarmName": change.alarm,
                "Timestamp": _moment(change.at_s),
                "HistoryItemType": "StateUpdate",
                "HistorySummary": f"Alarm updated from {change.old} to {change.new}",
                "HistoryData": change.reason,
            }
            for change in self._alarms.history()
            if parameters.get("AlarmName") in {None, change.alarm}
        ]
        return {"AlarmHistoryItems": items[: parameters.get("MaxRecords", len(items))]}

    async def set_alarm_state(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Set a state until the next evaluation."""
        state = State(parameters["StateValue"])
        try:
            await self._alarms.set_state(parameters["AlarmName"], state, parameters["StateReason"])
        except KeyError as error:
            raise ApiError("ResourceNotFound", "There is no such alarm.", NOT_FOUND) from error
        return {}

    async def enable_alarm_actions(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Let alarms act again."""
        return self._enable(parameters["AlarmNames"], is_enabled=True)

    async def disable_alarm_actions(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's own
        """Let alarms change without telling anybody."""
        return self._enable(parameters["AlarmNames"], is_enabled=False)

    def _enable(self, names: Sequence[str], *, is_enabled: bool) -> Answer:
        known = {standing.spec.name for standing in self._alarms.standings()}
        for name in known.intersection(names):
            self._alarms.enable_actions(name, is_enabled=is_enabled)
        return {}

    def _metric(self, namespace: str, name: str, listed: list[dict[str, str]]) -> MetricId:
        return MetricId(self._region, namespace, name, dimensions_of(list(listed)))

    def _series(self, stat: Answer, starts: Sequence[int]) -> list[float | None]:
        if not is_statistic(stat["Stat"]):
            raise ApiError("ValidationError", f"The twin has no statistic {stat['Stat']}.")
        asked = stat["Metric"]
        metric = self._metric(asked["Namespace"], asked["MetricName"], asked.get("Dimensions", []))
        buckets = (self._store.window(metric, start, start + stat["Period"]) for start in starts)
        return [bucket.statistic(stat["Stat"]) if bucket else None for bucket in buckets]


def _starts(parameters: Answer, period_s: int) -> list[int]:
    start_s = int(parameters["StartTime"].timestamp()) // period_s * period_s
    starts = list(range(start_s, int(parameters["EndTime"].timestamp()), period_s))
    if len(starts) > DATAPOINTS_MAX:
        message = f"More than {DATAPOINTS_MAX} datapoints are asked for."
        raise ApiError("InvalidParameterCombination", message)
    return starts


def _values_of(datum: Answer) -> list[tuple[float, int]]:
    if "Values" in datum:
        counts = datum.get("Counts", [1] * len(datum["Values"]))
        return [(v, int(n)) for v, n in zip(datum["Values"], counts, strict=False) if n]
    if "StatisticValues" in datum:
        # Of ready statistics only their mean is known, but for both ends.
        ready = datum["StatisticValues"]
        count = int(ready["SampleCount"])
        ends = [(ready["Minimum"], 1), (ready["Maximum"], 1)][: max(count, 0)]
        rest = count - len(ends)
        middle = ready["Sum"] - sum(value for value, _ in ends)
        return [*ends, (middle / rest, rest)] if rest > 0 else ends
    return [(datum["Value"], 1)]


def _result(query: Answer, starts: Sequence[int], series: list[float | None], order: int) -> Answer:
    found = [
        (start, value) for start, value in zip(starts, series, strict=True) if value is not None
    ]
    found = found[::order]
    return {
        "Id": query["Id"],
        "Label": query.get("Label", query["Id"]),
        "Timestamps": [_moment(start) for start, _ in found],
        "Values": [value for _, value in found],
        "StatusCode": "Complete",
    }


def _shared(standing: Standing) -> Answer:
    spec = standing.spec
    return {
        "AlarmName": spec.name,
        "AlarmArn": spec.arn,
        "AlarmDescription": spec.description,
        "ActionsEnabled": standing.actions_enabled,
        "OKActions": list(spec.actions.ok),
        "AlarmActions": list(spec.actions.alarm),
        "InsufficientDataActions": list(spec.actions.insufficient_data),
        "StateValue": str(standing.state),
        "StateReason": standing.reason,
        "StateUpdatedTimestamp": _moment(standing.since_s),
        "StateTransitionedTimestamp": _moment(standing.since_s),
    }


def _composite(standing: Standing, spec: CompositeSpec) -> Answer:
    found = {**_shared(standing), "AlarmRule": spec.rule}
    if spec.suppressor:
        found["ActionsSuppressor"] = spec.suppressor
        found["ActionsSuppressorWaitPeriod"] = int(spec.wait_s)
        found["ActionsSuppressorExtensionPeriod"] = int(spec.extension_s)
    return found


def _described(standing: Standing, spec: AlarmSpec) -> Answer:
    shared = {
        **_shared(standing),
        "EvaluationPeriods": spec.rule.evaluation_periods,
        "DatapointsToAlarm": spec.rule.datapoints_to_alarm,
        "Threshold": spec.rule.threshold,
        "ComparisonOperator": spec.rule.comparison,
        "TreatMissingData": str(spec.rule.missing),
    }
    first = spec.queries[0]
    if len(spec.queries) > 1 or first.metric is None:
        return {**shared, "Metrics": [_query(query, spec.period_s) for query in spec.queries]}
    kind = "ExtendedStatistic" if first.statistic.startswith("p") else "Statistic"
    return {
        **shared,
        "MetricName": first.metric.name,
        "Namespace": first.metric.namespace,
        "Dimensions": _listed(first.metric.dimensions),
        "Period": spec.period_s,
        kind: first.statistic,
    }


def _query(query: Query, period_s: int) -> Answer:
    shared = {"Id": query.id, "Label": query.label, "ReturnData": query.returns}
    if query.metric is None:
        return {**shared, "Expression": query.expression}
    metric = {
        "Namespace": query.metric.namespace,
        "MetricName": query.metric.name,
        "Dimensions": _listed(query.metric.dimensions),
    }
    stat = {"Metric": metric, "Period": period_s, "Stat": query.statistic}
    return {**shared, "MetricStat": stat}


def _listed(dimensions: Dimensions) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions]


def _has(dimensions: Dimensions, name: str, value: str | None) -> bool:
    return any(n == name and value in {None, v} for n, v in dimensions)


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)

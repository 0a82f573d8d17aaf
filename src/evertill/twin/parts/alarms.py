"""The alarms of a region: evaluated every minute of twin time, their changes written and acted on.

CloudWatch evaluates alarms of whole minutes once a minute and shorter ones every ten seconds; a
composite is decided whenever one of those that it names changes. The rules themselves are in
`alarming`, `metric_math` and `composite`, which know neither time nor store.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from evertill.twin import composite, metric_math
from evertill.twin.alarming import State, evaluate, is_enough_for_percentile
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.metrics import PERCENTILE, MetricStore
from evertill.twin.plan.alarms import AlarmSpec, CompositeSpec, Query
from evertill.twin.plan.bindings import ACCOUNT

log = logging.getLogger(__name__)

MINUTE_S: Final = 60
SHORT_INTERVAL_S: Final = 10
SUPPRESSOR_INTERVAL_S: Final = 1
# What was measured in a minute is published within this after its end.
SETTLE_DELAY_S: Final = 5
HISTORY_MAX: Final = 200
# Composites may name composites; a change settles in as many rounds as they are deep.
ROUNDS_MAX: Final = 20
NOT_YET: Final = "Unchecked: Initial alarm creation"

Spec = AlarmSpec | CompositeSpec
# Publishes to a topic: its ARN, a subject and a message.
Publish = Callable[[str, str, str], Awaitable[None]]


class Change(msgspec.Struct, frozen=True):
    """One change of state."""

    alarm: str
    at_s: float
    old: State
    new: State
    reason: str


class Standing(msgspec.Struct):
    """How an alarm is at the moment."""

    spec: Spec
    state: State = State.INSUFFICIENT_DATA
    reason: str = NOT_YET
    since_s: float = 0.0
    actions_enabled: bool = True


class Alarms:
    """Evaluates the alarms of `region` and publishes their changes."""

    def __init__(
        self,
        region: str,
        specs: Sequence[Spec],
        *,
        clock: Clock,
        timeline: Timeline,
        store: MetricStore,
        publish: Publish,
    ) -> None:
        """Read all rules; nothing is evaluated before the start."""
        self._region: Final = region
        self._clock: Final = clock
        self._timeline: Final = timeline
        self._store: Final = store
        self._publish: Final = publish
        since_s = clock.epoch_s()
        self._standings: Final = {
            spec.name: Standing(spec, since_s=since_s, actions_enabled=spec.actions.enabled)
            for spec in specs
        }
        self._names: Final = {spec.arn: spec.name for spec in specs}
        self._rules: Final = {
            spec.name: composite.parse(spec.rule)[0]
            for spec in specs
            if isinstance(spec, CompositeSpec)
        }
        self._history: Final[deque[Change]] = deque(maxlen=HISTORY_MAX)
        self._evaluating: asyncio.Task[None] | None = None
        self._suppressed: Final[dict[str, asyncio.Task[None]]] = {}

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._region}/alarms/cloudwatch"

    async def start(self) -> None:
        """Begin to evaluate, after the first whole minute: before that all data is missing."""
        self._evaluating = asyncio.create_task(self._evaluate_for_ever())

    async def stop(self) -> None:
        """End the evaluation; the states stay as they are."""
        evaluating, self._evaluating = self._evaluating, None
        waiting = [task for task in (evaluating, *self._suppressed.values()) if task is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Return every alarm's state, its reason and since when."""
        return {
            name: {
                "state": str(standing.state),
                "reason": standing.reason,
                "since": _moment(standing.since_s).isoformat(),
                "actions_enabled": standing.actions_enabled,
                "composite": name in self._rules,
            }
            for name, standing in self._standings.items()
        }

    def standings(self) -> list[Standing]:
        """Return all alarms as they are."""
        return list(self._standings.values())

    def history(self) -> list[Change]:
        """Return the changes that are kept, the newest first."""
        return list(reversed(self._history))

    def state_of(self, name_or_arn: str) -> State:
        """Return the state of an alarm; raise KeyError when there is none such."""
        return self._standings[self._names.get(name_or_arn, name_or_arn)].state

    def enable_actions(self, name: str, *, is_enabled: bool) -> None:
        """Let an alarm act, or not; raise KeyError when there is none such."""
        self._standings[name].actions_enabled = is_enabled

    async def set_state(self, name: str, state: State, reason: str) -> None:
        """Set a state by hand: it lasts until the next evaluation."""
        await self._change(self._standings[name], state, reason)
        await self._decide_composites()

    async def evaluate_all(self, end_s: float) -> None:
        """Evaluate every alarm whose period ends at `end_s`, seconds since 1970."""
        for standing in self._standings.values():
            spec = standing.spec
            if isinstance(spec, AlarmSpec) and end_s % min(spec.period_s, MINUTE_S) == 0:
                state, reason = self._evaluated(spec, standing.state, end_s)
                await self._change(standing, state, reason)
        await self._decide_composites()

    async def _evaluate_for_ever(self) -> None:
        shortest = min((s.spec.period_s for s in self._metric_alarms()), default=MINUTE_S)
        every = SHORT_INTERVAL_S if shortest < MINUTE_S else MINUTE_S
        first = self._clock.epoch_s() + MINUTE_S
        end_s = first // every * every + (every if first % every else 0)
        while True:
            await self._clock.sleep(max(0.0, end_s + SETTLE_DELAY_S - self._clock.epoch_s()))
            try:
                await self.evaluate_all(end_s)
            except Exception:
                # One bad minute must not be the last one that is looked at.
                log.exception("The alarms of %s were not evaluated", self._region)
            end_s += every

    def _metric_alarms(self) -> list[Any]:
        return [s for s in self._standings.values() if isinstance(s.spec, AlarmSpec)]

    def _evaluated(self, spec: AlarmSpec, current: State, end_s: float) -> tuple[State, str]:
        points = self._points(spec, end_s)
        if spec.ignores_few_samples and not self._has_enough_samples(spec, end_s):
            return current, "There are too few samples for the percentile."
        state = evaluate(spec.rule, points, current)
        seen = ["missing" if point is None else f"{point:g}" for point in points]
        rule = spec.rule
        reason = (
            f"{rule.datapoints_to_alarm} of {rule.evaluation_periods} datapoints "
            f"{rule.comparison} {rule.threshold:g} set the alarm; the last were {', '.join(seen)}."
        )
        return state, reason

    def _points(self, spec: AlarmSpec, end_s: float) -> list[float | None]:
        length = spec.rule.range_periods
        series: dict[str, list[float | None]] = {}
        for query in spec.queries:
            if query.metric is not None:
                series[query.id] = self._store.values(
                    query.metric, query.statistic, spec.period_s, end_s, length
                )
        # Expressions may use each other; whatever order they are written in.
        waiting = [query for query in spec.queries if query.expression]
        while waiting:
            ready = [query for query in waiting if _needs(query) <= set(series)]
            if not ready:
                return [None] * length
            for query in ready:
                tree = metric_math.parse(query.expression)
                series[query.id] = metric_math.compute(tree, series, length)
            waiting = [query for query in waiting if query not in ready]
        return next(series[query.id] for query in spec.queries if query.returns)

    def _has_enough_samples(self, spec: AlarmSpec, end_s: float) -> bool:
        for query in spec.queries:
            found = PERCENTILE.fullmatch(query.statistic)
            if query.metric is not None and found:
                length_s = spec.period_s * spec.rule.evaluation_periods
                bucket = self._store.window(query.metric, end_s - length_s, end_s)
                if not is_enough_for_percentile(float(found[1]), bucket.count if bucket else 0):
                    return False
        return True

    async def _decide_composites(self) -> None:
        for _ in range(ROUNDS_MAX):
            is_changed = False
            for name, rule in self._rules.items():
                standing = self._standings[name]
                state = State.ALARM if rule(self.state_of) else State.OK
                if state is not standing.state:
                    is_changed = True
                    await self._change(standing, state, f"Its rule is now {state is State.ALARM}.")
            if not is_changed:
                return

    async def _change(self, standing: Standing, state: State, reason: str) -> None:
        if state is standing.state:
            return
        change = Change(standing.spec.name, self._clock.epoch_s(), standing.state, state, reason)
        standing.state, standing.reason, standing.since_s = state, reason, change.at_s
        self._history.append(change)
        self._timeline.tell(
            self._region,
            f"{self._region}/alarm/{change.alarm}",
            "alarm.changed",
            f"{change.alarm} is {state}.",
            old=str(change.old),
            new=str(state),
            reason=reason,
        )
        spec = standing.spec
        if not standing.actions_enabled:
            return
        if isinstance(spec, CompositeSpec) and spec.suppressor:
            self._act_unless_suppressed(spec, change)
        else:
            await self._act(spec, change)

    def _act_unless_suppressed(self, spec: CompositeSpec, change: Change) -> None:
        """Act later; what waited to be told of an earlier change is told no more."""
        earlier = self._suppressed.pop(spec.name, None)
        if earlier is not None:
            earlier.cancel()
        self._suppressed[spec.name] = asyncio.create_task(self._act_when_free(spec, change))

    async def _act_when_free(self, spec: CompositeSpec, change: Change) -> None:
        """Act when the suppressor was not in alarm for the wait, or the extension, period.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
        """
        patience_s = spec.wait_s
        while True:
            free_at_s = self._clock.now_s() + patience_s
            while self.state_of(spec.suppressor) is not State.ALARM:
                if self._clock.now_s() >= free_at_s:
                    await self._act(spec, change)
                    return
                await self._clock.sleep(SUPPRESSOR_INTERVAL_S)
            while self.state_of(spec.suppressor) is State.ALARM:
                await self._clock.sleep(SUPPRESSOR_INTERVAL_S)
            patience_s = spec.extension_s

    async def _act(self, spec: Spec, change: Change) -> None:
        actions = {
            State.ALARM: spec.actions.alarm,
            State.OK: spec.actions.ok,
            State.INSUFFICIENT_DATA: spec.actions.insufficient_data,
        }[change.new]
        subject = f'{change.new}: "{spec.name}" in {self._region}'
        for arn in actions:
            try:
                await self._publish(arn, subject, message_of(spec, change, self._region))
            except Exception as error:  # noqa: BLE001 - one topic's failure must not stop the others
                self._timeline.tell(
                    self._region, self.name, "alarm.action_failed", f"{arn}: {error}"
                )


def message_of(spec: Spec, change: Change, region: str) -> str:
    """Return what CloudWatch publishes: JSON with the alarm, both states and the reason."""
    body: dict[str, Any] = {
        "AlarmName": spec.name,
        "AlarmDescription": spec.description,
        "AWSAccountId": ACCOUNT,
        "NewStateValue": str(change.new),
        "NewStateReason": change.reason,
        "StateChangeTime": _moment(change.at_s).isoformat(timespec="milliseconds"),
        "Region": region,
        "AlarmArn": spec.arn,
        "OldStateValue": str(change.old),
    }
    if isinstance(spec, CompositeSpec):
        body["AlarmRule"] = spec.rule
    else:
        body["Trigger"] = {
            "Period": spec.period_s,
            "EvaluationPeriods": spec.rule.evaluation_periods,
            "DatapointsToAlarm": spec.rule.datapoints_to_alarm,
            "ComparisonOperator": spec.rule.comparison,
            "Threshold": spec.rule.threshold,
            "TreatMissingData": str(spec.rule.missing),
        }
    return msgspec.json.encode(body).decode()


def _needs(query: Query) -> set[str]:
    return metric_math.names(metric_math.parse(query.expression))


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)

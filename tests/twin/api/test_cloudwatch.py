"""boto3 asks the twin's CloudWatch over HTTP, as recovery and an operator do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from botocore.exceptions import ClientError
from tests.support.twin import REGION, api, ask, client, site_of_the_test, until

from evertill.twin.alarming import Missing, Rule, State
from evertill.twin.api.cloudwatch import CloudWatch
from evertill.twin.api.handled import Handled
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.metrics import MetricId, MetricStore
from evertill.twin.parts.alarms import Alarms, Spec
from evertill.twin.plan.alarms import Actions, AlarmSpec, CompositeSpec, Query

TOPIC = f"arn:aws:sns:{REGION}:123456789012:alerts"
LAG = MetricId(REGION, "AWS/RDS", "Lag", (("DBClusterIdentifier", "db"),))


def lag_alarm(name: str = "lag") -> AlarmSpec:
    return AlarmSpec(
        region=REGION,
        name=name,
        arn=f"arn:aws:cloudwatch:{REGION}:123456789012:alarm:{name}",
        description="The standby is behind.",
        queries=(Query(id="m", metric=LAG, statistic="Maximum"),),
        period_s=60,
        rule=Rule(
            comparison="GreaterThanThreshold",
            threshold=10,
            evaluation_periods=3,
            datapoints_to_alarm=2,
            missing=Missing.NOT_BREACHING,
        ),
        actions=Actions(alarm=(TOPIC,), ok=(TOPIC,)),
    )


def either() -> CompositeSpec:
    return CompositeSpec(
        region=REGION,
        name="either",
        arn=f"arn:aws:cloudwatch:{REGION}:123456789012:alarm:either",
        description="",
        rule=f'ALARM("{lag_alarm().arn}") OR ALARM(other)',
        actions=Actions(alarm=(TOPIC,)),
    )


class Watch:
    """A store, its alarms and what they published."""

    def __init__(self, *specs: Spec) -> None:
        self.clock = Clock(speed=60)
        self.store = MetricStore(self.clock)
        self.published: list[tuple[str, str, str]] = []
        self.alarms = Alarms(
            REGION,
            specs,
            clock=self.clock,
            timeline=Timeline(self.clock),
            store=self.store,
            publish=self.publish,
        )

    async def publish(self, arn: str, subject: str, message: str) -> None:
        self.published.append((arn, subject, message))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        handled = Handled("cloudwatch", CloudWatch(REGION, self.clock, self.store, self.alarms))
        with site_of_the_test() as site:
            async with api({"monitoring": handled}, site) as server:
                yield client("cloudwatch", server.url)


def test_what_was_put_is_read_as_statistics_and_as_data() -> None:
    async def story() -> tuple[Any, Any, Any]:
        watch = Watch()
        async with watch.client() as cloudwatch:
            now = datetime.now(UTC).replace(second=0, microsecond=0)
            data = [
                {"MetricName": "Lag", "Value": value, "Unit": "Seconds", "Timestamp": now}
                for value in (1.0, 2.0, 6.0)
            ]
            await ask(cloudwatch.put_metric_data, Namespace="App", MetricData=data)
            span = {"StartTime": now - timedelta(minutes=1), "EndTime": now + timedelta(minutes=1)}
            statistics = await ask(
                cloudwatch.get_metric_statistics,
                Namespace="App",
                MetricName="Lag",
                Period=60,
                Statistics=["Average", "Maximum", "SampleCount"],
                ExtendedStatistics=["p50"],
                **span,
            )
            metric = {"Namespace": "App", "MetricName": "Lag"}
            stat = {"Metric": metric, "Period": 60, "Stat": "Sum"}
            queries = [
                {"Id": "m1", "MetricStat": stat, "ReturnData": False},
                {"Id": "e1", "Expression": "IF(m1 > 5, m1 * 2, 0)"},
            ]
            found = await ask(cloudwatch.get_metric_data, MetricDataQueries=queries, **span)
            return statistics, found, await ask(cloudwatch.list_metrics, Namespace="App")

    statistics, found, listed = asyncio.run(story())
    (point,) = statistics["Datapoints"]
    assert (3.0, 6.0, 3.0) == (point["Average"], point["Maximum"], point["SampleCount"])
    assert {"p50": 2.0} == point["ExtendedStatistics"]
    assert "Seconds" == point["Unit"]
    assert [18.0] == found["MetricDataResults"][0]["Values"]
    assert ["Lag"] == [metric["MetricName"] for metric in listed["Metrics"]]


def test_an_alarm_changes_acts_and_takes_its_composite_along() -> None:
    async def story() -> tuple[Watch, Any, Any]:
        watch = Watch(lag_alarm(), lag_alarm("other"), either())
        end_s = watch.clock.epoch_s() // 60 * 60
        for minute in range(4):
            watch.store.add(LAG, 50.0, "Seconds", end_s - 60 * minute - 30)
        await watch.alarms.evaluate_all(end_s)
        async with watch.client() as cloudwatch:
            described = await ask(
                cloudwatch.describe_alarms, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
            history = await ask(cloudwatch.describe_alarm_history, AlarmName="lag")
            return watch, described, history

    watch, described, history = asyncio.run(story())
    assert {"lag": "ALARM", "other": "ALARM"} == {
        alarm["AlarmName"]: alarm["StateValue"] for alarm in described["MetricAlarms"]
    }
    assert ["ALARM"] == [alarm["StateValue"] for alarm in described["CompositeAlarms"]]
    assert [TOPIC] * 3 == [arn for arn, _, _ in watch.published]
    assert 'ALARM: "lag" in us-east-1' == watch.published[0][1]
    assert 1 == len(history["AlarmHistoryItems"])


def test_an_alarm_whose_actions_are_off_tells_nobody() -> None:
    async def story() -> Watch:
        watch = Watch(lag_alarm())
        async with watch.client() as cloudwatch:
            await ask(cloudwatch.disable_alarm_actions, AlarmNames=["lag"])
            await ask(
                cloudwatch.set_alarm_state, AlarmName="lag", StateValue="ALARM", StateReason="a try"
            )
            await ask(cloudwatch.enable_alarm_actions, AlarmNames=["lag"])
            await ask(
                cloudwatch.set_alarm_state, AlarmName="lag", StateValue="OK", StateReason="a try"
            )
        return watch

    assert ['OK: "lag" in us-east-1'] == [s for _, s, _ in asyncio.run(story()).published]


def test_a_suppressor_in_alarm_keeps_a_composite_from_acting_until_it_is_over() -> None:
    spec = msgspec.structs.replace(either(), suppressor="other", wait_s=30, extension_s=60)

    async def story() -> tuple[list[str], list[str]]:
        watch = Watch(lag_alarm(), lag_alarm("other"), spec)
        watch.alarms.enable_actions("lag", is_enabled=False)
        watch.alarms.enable_actions("other", is_enabled=False)
        await watch.alarms.set_state("other", State.ALARM, "maintenance")
        await watch.alarms.set_state("lag", State.ALARM, "a try")
        # Longer than both periods together: nothing may come of it.
        await watch.clock.sleep(100)
        during = [subject for _, subject, _ in watch.published]
        await watch.alarms.set_state("other", State.OK, "it is over")
        await until(lambda: watch.published != [])
        await watch.alarms.stop()
        return during, [subject for _, subject, _ in watch.published]

    during, after = asyncio.run(story())
    assert [] == during
    assert ['ALARM: "either" in us-east-1'] == after


def test_the_loop_evaluates_by_twin_time() -> None:
    async def story() -> list[str]:
        watch = Watch(lag_alarm())
        await watch.alarms.start()
        try:
            async with asyncio.timeout(20):
                while not watch.published:
                    watch.store.put(
                        REGION, "AWS/RDS", "Lag", 50.0, "Seconds", DBClusterIdentifier="db"
                    )
                    await asyncio.sleep(0.02)
        finally:
            await watch.alarms.stop()
        return [subject for _, subject, _ in watch.published]

    assert 'ALARM: "lag" in us-east-1' in asyncio.run(story())


def test_the_old_query_protocol_is_answered_too() -> None:
    async def story() -> httpx.Response:
        watch = Watch(lag_alarm())
        async with watch.client() as cloudwatch:
            url = cloudwatch.meta.endpoint_url
            headers = {
                "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/monitoring/"
                "aws4_request, SignedHeaders=host, Signature=0"
            }
            form = {"Action": "DescribeAlarms", "AlarmNames.member.1": "lag"}
            async with httpx.AsyncClient() as web:
                return await web.post(url, data=form, headers=headers)

    answer = asyncio.run(story())
    assert 200 == answer.status_code
    assert "<DescribeAlarmsResult>" in answer.text
    assert "<AlarmName>lag</AlarmName>" in answer.text


def test_what_the_twin_does_not_do_is_refused_and_not_pretended() -> None:
    async def story() -> str:
        async with Watch().client() as cloudwatch:
            with pytest.raises(ClientError) as refused:
                await ask(cloudwatch.describe_anomaly_detectors)
            return str(refused.value.response["Error"]["Code"])

    assert "NotImplemented" == asyncio.run(story())

"""From a metric to a mail: an assembly that is not ours, its alarm, its topic, its subscriber."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.support.twin import REGION, api, ask, client, emulator, site_of_the_test, until

from evertill.twin.api.cloudwatch import CloudWatch
from evertill.twin.api.handled import Handled
from evertill.twin.api.relay import Relay
from evertill.twin.api.topics import Topics
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.metrics import MetricStore
from evertill.twin.parts.alarms import Alarms
from evertill.twin.parts.mail import Mail, Mailbox
from evertill.twin.parts.storage import SecretFile, Storage
from evertill.twin.plan import alarms as planned
from evertill.twin.plan import storage
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.reading import read_model

FOREIGN = Path(__file__).parent / "assemblies" / "foreign"
UNHEALTHY = "shop-unhealthy-test"


def test_an_alarm_of_a_foreign_template_ends_as_mail_and_its_sisters_stay_silent(
    tmp_path: Path,
) -> None:
    model = read_model(FOREIGN)
    bindings = Bindings(model)
    specs = [
        planned.alarm_spec(item, bindings)
        for item in model.resources_of(planned.METRIC_ALARM)
        if item.region == REGION
    ]
    topics = [
        storage.topic_spec(model, item, bindings)
        for item in model.resources_of(storage.TOPIC)
        if item.region == REGION
    ]
    watched = next(spec for spec in specs if spec.name == UNHEALTHY).queries[0].metric
    tasks = next(spec for spec in specs if spec.name == "shop-tasks-test").queries[0].metric
    assert watched is not None
    assert tasks is not None

    async def story() -> tuple[list[Mail], dict[str, str]]:
        clock = Clock(speed=60)
        store = MetricStore(clock)
        mailbox = Mailbox(tmp_path / "mail", clock)
        with site_of_the_test() as site:
            async with emulator(tmp_path, site) as part:
                secrets = SecretFile(tmp_path / "secrets.json")
                await Storage(REGION, part.url, topics, secrets).start()
                relay = Relay(part.url)
                sns = Topics(REGION, relay, mailbox, topics)
                watch = Alarms(
                    REGION,
                    specs,
                    clock=clock,
                    timeline=Timeline(clock),
                    store=store,
                    publish=sns.publish,
                )
                cloudwatch = Handled("cloudwatch", CloudWatch(REGION, clock, store, watch))
                async with api({"monitoring": cloudwatch, "sns": sns}, site) as server:
                    await watch.start()

                    def publish_until_mail() -> bool:
                        now_s = clock.epoch_s()
                        store.add(watched, 1.0, "Count", now_s)
                        store.add(tasks, 2.0, "Count", now_s)
                        return bool(mailbox.mails())

                    await until(publish_until_mail)
                    described = await ask(client("cloudwatch", server.url).describe_alarms)
                    await watch.stop()
                await relay.close()
        states = {item["AlarmName"]: item["StateValue"] for item in described["MetricAlarms"]}
        return mailbox.mails(), states

    mails, states = asyncio.run(story())
    (mail,) = mails
    assert "ops@shop.example" == mail.to
    assert f'ALARM: "{UNHEALTHY}" in {REGION}' == mail.subject
    assert ("ALARM", UNHEALTHY) == (
        json.loads(mail.text)["NewStateValue"],
        json.loads(mail.text)["AlarmName"],
    )
    # No cluster of its is in a global database, so the lag has no figures, as on AWS.
    assert {
        UNHEALTHY: "ALARM",
        "shop-tasks-test": "OK",
        "shop-replication-lag-test": "INSUFFICIENT_DATA",
    } == states

"""What AWS does by itself, put together from an assembly that is not ours, as the twin will.

Both regions of the shop: its alarm ends as mail, its function answers, its secret is there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.twin import ask, client, site_of_the_test, until

from evertill.twin.addresses import Addresses
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.metrics import MetricStore
from evertill.twin.parts.aws_region import AwsGlobal, AwsRegion, Common
from evertill.twin.parts.mail import Mailbox
from evertill.twin.plan.plan import plan_of
from evertill.twin.plan.regional import RegionPlan, region_plan, strong_tables
from evertill.twin.processes import Processes

FOREIGN = Path(__file__).parent / "assemblies" / "foreign"
EAST, WEST = "us-east-1", "us-west-2"
UNHEALTHY = "shop-unhealthy-test"


def variables(_: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@asynccontextmanager
async def both_regions(
    folder: Path, plans: list[RegionPlan]
) -> AsyncIterator[tuple[Common, dict[str, str]]]:
    """Run everything of the plan, each region with its API; give the addresses of these."""
    clock = Clock(speed=60)
    timeline = Timeline(clock)
    with site_of_the_test() as site:
        common = Common(
            clock=clock,
            links=Links({}),
            timeline=timeline,
            store=MetricStore(clock),
            processes=Processes(folder / "processes"),
            addresses=Addresses(site.number, {plan.region: () for plan in plans}),
            folder=folder,
            mailbox=Mailbox(folder / "mail", clock, timeline),
        )
        shared = AwsGlobal((), common)
        regions = [
            AwsRegion(plan, common, shared=shared, variables=variables, days_left=lambda _: 300.0)
            for plan in plans
        ]
        for region in regions:
            region.copy_to(regions)
        apis = {region.plan.region: region.api({}) for region in regions}
        parts = [
            *shared.parts,
            *(part for region in regions for part in region.parts),
            *(copy for region in regions for copy in region.copies),
            *apis.values(),
            *(region.alarms for region in regions),
        ]
        async with AsyncExitStack() as running:
            running.push_async_callback(common.processes.end_all)
            for part in parts:
                await part.start()
                running.push_async_callback(part.stop)
            assert len(parts) == len({part.name for part in parts})
            yield common, {name: server.url for name, server in apis.items()}
        for region in regions:
            await region.relay.close()
        await shared.relay.close()


def test_an_alarm_ends_as_mail_and_a_function_answers_in_both_regions(tmp_path: Path) -> None:
    whole = plan_of(FOREIGN)
    plans = [region_plan(whole, region) for region in (EAST, WEST)]
    alarm = next(spec for spec in plans[0].alarms if spec.name == UNHEALTHY)
    tasks = next(spec for spec in plans[0].alarms if spec.name == "shop-tasks-test")
    # Its README says that nothing of it is replicated.
    assert [] == [bucket for plan in plans for bucket in plan.buckets if bucket.rules]
    assert () == strong_tables(whole)
    watched, counted = alarm.queries[0].metric, tasks.queries[0].metric  # type: ignore[union-attr]  # both are metric alarms
    assert watched is not None
    assert counted is not None

    async def story() -> dict[str, Any]:
        async with both_regions(tmp_path, plans) as (common, urls):

            def publish_until_mail() -> bool:
                now_s = common.clock.epoch_s()
                common.store.add(watched, 1.0, "Count", now_s)
                common.store.add(counted, 2.0, "Count", now_s)
                # The second region has no tasks here, and says so by mail as well.
                return any(UNHEALTHY in mail.subject for mail in common.mailbox.mails())

            await until(publish_until_mail)
            mails = common.mailbox.mails()
            described = await ask(client("cloudwatch", urls[EAST]).describe_alarms)
            answers = []
            for region, url in urls.items():
                invoked = await ask(
                    client("lambda", url, region).invoke,
                    FunctionName="shop-validate-test",
                    Payload=json.dumps({"amount": 5}),
                )
                answers.append(json.loads(invoked["Payload"].read())["valid"])
            secrets = await ask(client("secretsmanager", urls[WEST], WEST).list_secrets)
            kinds = {event.kind for event in common.timeline.kept()}
            return {
                "mails": mails,
                "answers": answers,
                "secrets": [item["Name"] for item in secrets["SecretList"]],
                "kinds": kinds,
                "states": {
                    item["AlarmName"]: item["StateValue"] for item in described["MetricAlarms"]
                },
            }

    found = asyncio.run(story())
    first = next(mail for mail in found["mails"] if UNHEALTHY in mail.subject)
    assert ("ops@shop.example", f'ALARM: "{UNHEALTHY}" in {EAST}') == (first.to, first.subject)
    assert "ALARM" == json.loads(first.text)["NewStateValue"]
    assert [True, True] == found["answers"]
    assert [secret.name for secret in plans[1].secrets] == found["secrets"]
    assert {"alarm.changed", "mail.delivered"} <= found["kinds"]
    # No cluster of its is in a global database, so the lag has no figures, as on AWS.
    assert ("ALARM", "INSUFFICIENT_DATA") == (
        found["states"][UNHEALTHY],
        found["states"]["shop-replication-lag-test"],
    )

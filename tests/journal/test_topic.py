"""Events are published to an SNS topic, and those that waited while it was away too."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from tests.conftest import StartService
from tests.support.aws import Aws
from tests.support.postgres import Database
from tests.support.service import START_TIMEOUT_S, Api, create_merchant, wait_until

TIMEOUT_S = 60.0
WAITING = "SELECT count(*) FROM outbox WHERE pending & 4 <> 0"


def subscribe(aws: Aws) -> tuple[str, Any, str]:
    """Make a topic with a queue; return the topic's ARN, a client for the queue and its URL."""
    sqs, sns = aws.client("sqs"), aws.client("sns")
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    topic: str = sns.create_topic(Name="events")["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=attributes["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    return topic, sqs, queue


def test_events_are_published_and_what_waited_while_the_topic_was_away_too(
    database: Database, start_service: StartService, aws: Aws
) -> None:
    topic, sqs, queue = subscribe(aws)
    service = start_service(database, workers=2, events_topic_arn=topic, aws_endpoint_url=aws.url)
    api = Api(service, create_merchant(database))
    expected = {api.paid()["id"]: ["payment.captured"]}
    wait_until(lambda: database.rows(WAITING) == [(0,)], START_TIMEOUT_S)
    with aws.paused():
        held = api.paid(capture=False)["id"]
        api.post(f"/v1/payments/{held}/capture")
        expected[held] = ["payment.authorized", "payment.captured"]
        assert database.rows(WAITING) > [(0,)]
    told: dict[str, dict[str, str]] = defaultdict(dict)

    def everything_is_told() -> bool:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            event = json.loads(message["Body"])
            told[event["payment_id"]][event["id"]] = event["type"]
        return sum(map(len, told.values())) == 3

    wait_until(everything_is_told, TIMEOUT_S)
    # A standard queue promises no order.
    assert expected == {payment: sorted(events.values()) for payment, events in told.items()}
    wait_until(lambda: database.rows(WAITING) == [(0,)], TIMEOUT_S)
    api.close()

"""Events are published to an SNS topic, and those that waited while it was away too."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.conftest import StartService
from tests.support.aws import Aws
from tests.support.postgres import Database
from tests.support.service import START_TIMEOUT_S, Api, create_merchant, wait_until

TIMEOUT_S = 60.0
WAITING = "SELECT count(*) FROM outbox WHERE pending & 4 <> 0"
WAITING_FOR_LOG = "SELECT count(*) FROM outbox WHERE pending & 1 <> 0"
# Below the timeout of a call to the topic.
LOG_TIMEOUT_S = 3.0


def subscribe(aws: Aws, suffix: str = "") -> tuple[str, Any, str]:
    """Make a topic with a queue; return the topic's ARN, a client for the queue and its URL."""
    sqs, sns = aws.client("sqs"), aws.client("sns")
    queue = sqs.create_queue(
        QueueName=f"told{suffix}", Attributes={"FifoQueue": "true"} if suffix else {}
    )["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    topic: str = sns.create_topic(
        Name=f"events{suffix}", Attributes={"FifoTopic": "true"} if suffix else {}
    )["TopicArn"]
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


def test_a_fifo_topic_tells_each_payments_events_in_order_and_once(
    database: Database, start_service: StartService, aws: Aws
) -> None:
    topic, sqs, queue = subscribe(aws, ".fifo")
    service = start_service(database, workers=2, events_topic_arn=topic, aws_endpoint_url=aws.url)
    api = Api(service, create_merchant(database))
    expected = {}
    # What is published while the topic does not answer may arrive, and is published again.
    with aws.paused():
        for _ in range(5):
            payment = api.paid(capture=False)["id"]
            api.post(f"/v1/payments/{payment}/capture")
            api.post(f"/v1/payments/{payment}/refunds", {"amount": 1})
            expected[payment] = ["payment.authorized", "payment.captured", "payment.refunded"]
    told: dict[str, list[str]] = defaultdict(list)

    def everything_is_told() -> bool:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            event = json.loads(message["Body"])
            told[event["payment_id"]].append(event["type"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return sum(map(len, told.values())) >= 15

    wait_until(everything_is_told, TIMEOUT_S)
    wait_until(lambda: database.rows(WAITING) == [(0,)], TIMEOUT_S)
    everything_is_told()
    assert expected == told
    api.close()


def test_a_text_with_characters_that_no_queue_takes_arrives_all_the_same(
    database: Database, start_service: StartService, aws: Aws
) -> None:
    topic, sqs, queue = subscribe(aws)
    service = start_service(database, events_topic_arn=topic, aws_endpoint_url=aws.url)
    api = Api(service, create_merchant(database))
    text = "\uffff \ufffe \U0001f4b6"
    api.paid(description=text)
    wait_until(lambda: database.rows(WAITING) == [(0,)], TIMEOUT_S)
    [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert text == json.loads(message["Body"])["data"]["description"]
    assert not set("\uffff\ufffe") & set(message["Body"])
    api.close()


def test_while_the_topic_answers_nothing_the_log_goes_on(
    database: Database, start_service: StartService, aws: Aws, tmp_path: Path
) -> None:
    topic, _, _ = subscribe(aws)
    service = start_service(
        database, events_topic_arn=topic, aws_endpoint_url=aws.url, log_folder=str(tmp_path)
    )
    api = Api(service, create_merchant(database))
    with aws.paused():
        for _ in range(30):
            api.paid()
        wait_until(lambda: database.rows(WAITING_FOR_LOG) == [(0,)], LOG_TIMEOUT_S)
        api.paid()
        # All lanes of the topic have a call on its way by now, which waits for its timeout.
        wait_until(lambda: database.rows(WAITING_FOR_LOG) == [(0,)], LOG_TIMEOUT_S)
        assert database.rows(WAITING) > [(0,)]
    api.close()

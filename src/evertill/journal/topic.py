"""Publishes events to an SNS topic, for programs of the operator's own.

It is a relay like the log's, with a term of its own, so that a topic that is slow or away delays
neither the log nor the webhooks. Each payment's events are published in order; a FIFO topic also
delivers them so, and drops what is published twice within its five minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from evertill.domain import ids
from evertill.domain.outbox import Outbox, OutboxEvent, Term
from evertill.journal.records import write_time
from evertill.journal.relay import (
    Connect,
    Relay,
    TermOver,
)
from evertill.journal.stores import CONNECT_TIMEOUT_S, READ_TIMEOUT_S

EVENTS_MAX: Final = 1_000
# Calls at once. A payment's events are all in one lane, one after the other.
LANES: Final = 8
# SNS takes ten messages of a call, of 256 KiB together; ours are well below 26 KiB.
MESSAGES_PER_CALL_MAX: Final = 10
FIFO_SUFFIX: Final = ".fifo"
# The two characters that a text of ours may hold and a message may not: a queue behind the topic
# refuses or replaces them (SQS, SendMessage). In JSON they stand only within strings.
_UNWELCOME: Final = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}

log = logging.getLogger(__name__)


class Topic:
    """An SNS topic. Its calls block."""

    def __init__(self, arn: str, endpoint_url: str = "") -> None:
        """Publish to the topic `arn`, in its own region."""
        # Only who has a topic pays for loading the SDK: it takes a third of a second.
        import boto3  # noqa: PLC0415 - see above
        from botocore.config import Config  # noqa: PLC0415 - see above
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see above

        self._arn = arn
        self._failures = (BotoCoreError, ClientError)
        self._client: Any = boto3.client(
            "sns",
            endpoint_url=endpoint_url or None,
            region_name=arn.split(":")[3],
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                # As many as there are lanes: the SDK throws further connections away after use.
                max_pool_connections=LANES,
                retries={"total_max_attempts": 1},
            ),
        )

    def publish(self, events: Sequence[OutboxEvent]) -> Sequence[OutboxEvent]:
        """Publish events in order; return those that are left when the topic fails."""
        while events:
            taken = _call_size(events)
            entries = [_entry(event, self._arn) for event in events[:taken]]
            try:
                answer = self._client.publish_batch(
                    TopicArn=self._arn, PublishBatchRequestEntries=entries
                )
            except self._failures as failure:
                log.warning("the topic refused events; they are published again: %s", failure)
                return events
            failed = {entry["Id"] for entry in answer.get("Failed", [])}
            if failed:
                log.warning("the topic refused %s events; they are published again", len(failed))
                left = [event for event in events[:taken] if event.event_id.hex() in failed]
                return [*left, *events[taken:]]
            events = events[taken:]
        return events


class TopicRelay(Relay):
    """Hands the outbox to an SNS topic."""

    def __init__(
        self,
        connect: Connect,
        topic: Topic,
        observe: Callable[[int], None],
        *,
        speed: float = 1.0,
    ) -> None:
        """Publish to `topic`; `observe` is told how many events were."""
        super().__init__(connect, threads=LANES, speed=speed)
        self._topic = topic
        self._observe = observe

    def begin(self, term: Term) -> None:
        """Remember nothing: what counts is in the outbox."""

    async def relay(self, outbox: Outbox) -> None:
        """Publish some events, or wait; raise TermOver."""
        claim = await outbox.claim(EVENTS_MAX)
        if claim is None:
            raise TermOver
        if not claim.batch_ids:
            await self.rest(found=False)
            return
        events = await outbox.read(claim.batch_ids)
        await self._publish_all(outbox, events)
        self._observe(len(events))
        if not await outbox.settle(claim.batch_ids, None):
            raise TermOver
        if len(events) < EVENTS_MAX:
            await self.rest(found=True)

    async def _publish_all(self, outbox: Outbox, events: Sequence[OutboxEvent]) -> None:
        """Publish events, trying until all are; raise TermOver."""
        lanes: list[Sequence[OutboxEvent]] = [
            [event for event in events if event.payment_id[-1] % LANES == lane]
            for lane in range(LANES)
        ]

        async def attempt() -> bool:
            calls = [self.in_thread(partial(self._topic.publish, lane)) for lane in lanes if lane]
            lanes[:] = await asyncio.gather(*calls)
            return not any(lanes)

        await self.try_until_done(outbox, attempt)


def _call_size(events: Sequence[OutboxEvent]) -> int:
    """Return how many events go into one call: none of a payment's after another of its.

    The topic may refuse a part of a call, and what comes later must not be published before it.
    """
    seen: set[bytes] = set()
    for event in events[:MESSAGES_PER_CALL_MAX]:
        if event.payment_id in seen:
            break
        seen.add(event.payment_id)
    return len(seen)


def _entry(event: OutboxEvent, arn: str) -> dict[str, Any]:
    name = ids.write_id(ids.EVENT, event.event_id)
    payment = ids.write_id(ids.PAYMENT, event.payment_id)
    message = {
        "id": name,
        "type": event.type,
        "merchant_id": event.merchant_id,
        "payment_id": payment,
        "created_at": write_time(event.created_at),
        "data": msgspec.Raw(event.answer.encode()),
    }
    # Attributes are what a subscription's filter looks at.
    attributes = {
        "type": {"DataType": "String", "StringValue": event.type},
        "merchant_id": {"DataType": "Number", "StringValue": str(event.merchant_id)},
    }
    entry: dict[str, Any] = {
        "Id": event.event_id.hex(),
        "Message": msgspec.json.encode(message).decode().translate(_UNWELCOME),
        "MessageAttributes": attributes,
    }
    if arn.endswith(FIFO_SUFFIX):
        entry |= {"MessageGroupId": payment, "MessageDeduplicationId": name}
    return entry

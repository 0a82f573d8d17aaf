"""Joins the journal to this process: its relays, on connections of their own, with its figures.

It is separate from app.py because it is the one place that knows both the journal and storage.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from evertill.domain.outbox import Receiver
from evertill.journal.relay import LogRelay
from evertill.journal.stores import LOCATION_PREFIX, open_store
from evertill.journal.topic import Topic, TopicRelay
from evertill.journal.webhooks import WebhookSender
from evertill.service import metrics
from evertill.service.settings import Settings
from evertill.storage.database import Address
from evertill.storage.outbox import PostgresOutbox
from evertill.storage.webhooks import PostgresDeliveries

log = logging.getLogger(__name__)


def relays(settings: Settings, database: Address) -> list[Coroutine[Any, Any, None]]:
    """Return what has to run in every worker so that events leave `database`."""
    location = log_location(settings)
    # The log is always waited for: a task that was started without one must not drop its records.
    served = {Receiver.LOG, Receiver.WEBHOOKS}
    if settings.events_topic_arn:
        served.add(Receiver.TOPIC)
    if not location:
        log.warning("no transaction log is set: events wait in the outbox until there is one")
    jobs = [_webhook_sender(settings, database, frozenset(served)).run()]
    if location:
        jobs.append(_log_relay(settings, database, location, frozenset(served)).run())
    if Receiver.TOPIC in served:
        jobs.append(_topic_relay(settings, database, frozenset(served)).run())
    return jobs


def _webhook_sender(
    settings: Settings, database: Address, served: frozenset[Receiver]
) -> WebhookSender:
    connect = partial(PostgresDeliveries.connect, database, served)
    return WebhookSender(
        connect,
        metrics.observe_webhook,
        is_private_allowed=settings.webhooks_private,
        speed=settings.time_scale,
    )


def _log_relay(
    settings: Settings, database: Address, location: str, served: frozenset[Receiver]
) -> LogRelay:
    region = "" if settings.region == "local" else settings.region
    store = open_store(location, settings.aws_endpoint_url, region)
    connect = partial(PostgresOutbox.connect, database, receiver=Receiver.LOG, served=served)
    return LogRelay(connect, store, settings.region, metrics.observe_log, speed=settings.time_scale)


def _topic_relay(settings: Settings, database: Address, served: frozenset[Receiver]) -> TopicRelay:
    connect = partial(PostgresOutbox.connect, database, receiver=Receiver.TOPIC, served=served)
    topic = Topic(settings.events_topic_arn, settings.aws_endpoint_url)
    return TopicRelay(connect, topic, metrics.PUBLISHED.inc, speed=settings.time_scale)


def log_location(settings: Settings) -> str:
    """Return where the transaction log goes, nothing when no place is set."""
    if settings.log_bucket:
        return LOCATION_PREFIX + settings.log_bucket
    return settings.log_folder

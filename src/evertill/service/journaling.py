"""Joins the journal to this process: its relays, on connections of their own, with its figures.

It is separate from app.py because it is the one place that knows both the journal and storage.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any

from evertill.domain.outbox import Receiver
from evertill.journal.relay import LogRelay
from evertill.journal.stores import LOCATION_PREFIX, open_store
from evertill.service import metrics
from evertill.service.settings import Settings
from evertill.storage.outbox import PostgresOutbox


def relays(settings: Settings) -> list[Coroutine[Any, Any, None]]:
    """Return what has to run in every worker so that events leave the database."""
    location = log_location(settings)
    served = frozenset({Receiver.LOG} if location else ())
    if not location:
        return []
    region = "" if settings.region == "local" else settings.region
    store = open_store(location, settings.aws_endpoint_url, region)
    connect = partial(
        PostgresOutbox.connect, settings.database_url, receiver=Receiver.LOG, served=served
    )
    return [LogRelay(connect, store, settings.region, metrics.observe_log).run()]


def log_location(settings: Settings) -> str:
    """Return where the transaction log goes, nothing when no place is set."""
    if settings.log_bucket:
        return LOCATION_PREFIX + settings.log_bucket
    return settings.log_folder

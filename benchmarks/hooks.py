"""How many webhooks a second leave a service: real ones, over HTTP, to a server that takes all.

It is separate from journal.py because it needs a server of its own, as lean as can be, since it
shares the service's cores. Payments have been made before; their events are put into the queue at
once, to many endpoints, and the clock runs until none is left.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import psycopg

from benchmarks import bounds
from evertill.domain.webhooks import new_secret

ENDPOINTS: Final = 200
DELIVERIES: Final = 5_000
TIMEOUT_S: Final = 120.0
ANSWER: Final = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
SUBSCRIBE: Final = b"""
    INSERT INTO evertill.webhook_endpoints (endpoint_id, merchant_id, url, secret)
    SELECT gen_random_uuid(), merchant_id, %s, %s FROM evertill.merchants
    ORDER BY merchant_id LIMIT %s
"""
QUEUE: Final = b"""
    INSERT INTO evertill.webhook_deliveries
        (endpoint_id, event_id, merchant_id, transaction_id, due_at)
    SELECT endpoint_id, event_id, merchant_id, transaction_id, now()
    FROM evertill.webhook_endpoints JOIN evertill.events USING (merchant_id) LIMIT %s
"""
# Nobody listens there.
DEAD_URL: Final = "http://127.0.0.1:9/hooks"
DEAD_ENDPOINTS: Final = 300
# They are the last merchant's, who has the fewest payments: what is measured is what waits, and not
# what is added. Foreign keys are not checked, or filling would take longer than measuring.
PEND: Final = (
    b"SET session_replication_role = replica",
    b"""
    INSERT INTO evertill.webhook_endpoints (endpoint_id, merchant_id, url, secret)
    SELECT gen_random_uuid(), (SELECT max(merchant_id) FROM evertill.merchants), %(url)s, %(secret)s
    FROM generate_series(1, %(endpoints)s)
    """,
    b"""
    INSERT INTO evertill.webhook_deliveries
        (endpoint_id, event_id, merchant_id, transaction_id, due_at)
    SELECT endpoint_id, event_id, chosen.merchant_id, transaction_id, now()
    FROM evertill.webhook_endpoints
    CROSS JOIN (SELECT event_id, merchant_id, transaction_id FROM evertill.events
        LIMIT greatest(%(deliveries)s / %(endpoints)s, 1)) AS chosen
    """,
)
LEFT: Final = b"SELECT EXISTS (SELECT FROM evertill.webhook_deliveries)"
TO_FAN_OUT: Final = b"SELECT EXISTS (SELECT FROM evertill.outbox WHERE pending & 2 <> 0)"


class NotDelivered(Exception):
    """Webhooks were not delivered in time, so there is no figure."""


class _Connection(asyncio.Protocol):
    """Takes one request and answers it."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length):
            self._transport.write(ANSWER)
            self._transport.close()


def measure(address: str) -> float:
    """Return webhooks delivered per second by the service that runs on a database."""
    with _receiver() as url, psycopg.connect(address, autocommit=True) as connection:
        # What is still to be fanned out would be queued a second time.
        _wait_while(connection, TO_FAN_OUT)
        connection.execute(SUBSCRIBE, (url, new_secret(), ENDPOINTS))
        queued = connection.execute(QUEUE, (DELIVERIES,)).rowcount
        return round(queued / _wait_while(connection, LEFT), 1)


def _wait_while(connection: psycopg.Connection, question: bytes) -> float:
    """Wait until the answer is no; return for how many seconds."""
    began_s = time.monotonic()
    while connection.execute(question).fetchone() == (True,):
        if time.monotonic() > began_s + TIMEOUT_S:
            raise NotDelivered
        time.sleep(bounds.WAIT_INTERVAL_S)
    return time.monotonic() - began_s


def pend(address: str, deliveries: int) -> int:
    """Let so many deliveries wait for endpoints that do not answer; return how many do."""
    given = {
        "url": DEAD_URL,
        "secret": new_secret(),
        "endpoints": DEAD_ENDPOINTS,
        "deliveries": deliveries,
    }
    with psycopg.connect(address, cursor_factory=psycopg.ClientCursor) as connection:
        for statement in PEND:
            made = connection.execute(statement, given)
    return made.rowcount


@contextmanager
def _receiver() -> Iterator[str]:
    """Run a server that answers 204 to everything; give its URL."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(_Connection, "127.0.0.1", 0, backlog=512))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()

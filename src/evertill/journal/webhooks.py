"""Sends webhooks: what is due, a few at a time for each endpoint, so that none delays another.

It runs in every worker process. Rows of the database say what is due; whoever takes one has it for
a while, after which it is due again, so that a crash costs a repetition and nothing else.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
from yarl import URL

from evertill.domain import ids
from evertill.domain.outbox import OutboxUnavailable
from evertill.domain.webhooks import Deliveries, Delivery, Result, answered, failed, message, sign
from evertill.journal.addresses import AddressRefused, Names, resolve

# Of one worker. The specification recommends a timeout of 15 to 30 s.
IN_FLIGHT_MAX: Final = 256
IN_FLIGHT_EACH_MAX: Final = 8
ATTEMPT_TIMEOUT_S: Final = 15.0
POLL_INTERVAL_S: Final = 0.5
FAN_OUT_INTERVAL_S: Final = 0.5
# Attempts that are begun at once; then a pause, in which several that end together make one claim.
BEGUN_AT_ONCE_MAX: Final = 32
SETTLE_PAUSE_S: Final = 0.02
# A pause that lasts longer than it should by this means that payments wait for the processor.
LATE_S: Final = 0.01
RETRY_DELAY_S: Final = 2.0
ERROR_LENGTH_MAX: Final = 200

Connect = Callable[[], Awaitable[Deliveries]]
Observe = Callable[[str], None]

log = logging.getLogger(__name__)


class Pace:
    """How many attempts are begun at once: fewer while the process is busy, else more.

    An attempt takes as much of the processor as many payments. Millions may wait, for days; whoever
    pays waits for an answer now.
    """

    def __init__(self) -> None:
        """Begin slowly."""
        self.size = 1
        self._loop = asyncio.get_running_loop()

    async def give_way(self) -> None:
        """Pause, and see by its end whether others wait for this process."""
        began_s = self._loop.time()
        await asyncio.sleep(SETTLE_PAUSE_S)
        if self._loop.time() - began_s > SETTLE_PAUSE_S + LATE_S:
            self.size = max(self.size // 2, 1)
        else:
            self.size = min(self.size + 1, BEGUN_AT_ONCE_MAX)


UNREACHABLE: Final = (aiohttp.ClientError, OSError, UnicodeError)


class WebhookSender:
    """Tells endpoints of events."""

    def __init__(self, connect: Connect, observe: Observe, *, is_private_allowed: bool) -> None:
        """Send what `connect` gives; `observe` is told `delivered`, `failed` or `dead` of each."""
        self._connect = connect
        self._observe = observe
        self._is_private_allowed = is_private_allowed
        self._loop = asyncio.get_running_loop()
        self._fan_out_at_s = 0.0
        self._pace = Pace()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: Counter[bytes] = Counter()
        self._names = Names()

    async def run(self) -> None:
        """Send for ever."""
        async with _client() as self._http:
            while True:
                try:
                    await self._serve()
                except OutboxUnavailable as failure:
                    log.info("webhooks cannot be sent now", exc_info=failure)
                await asyncio.sleep(_spread(RETRY_DELAY_S))

    async def _serve(self) -> None:
        deliveries = await self._connect()
        try:
            while True:
                # Paced, because under load there is always a batch or two: many are taken at once.
                if self._loop.time() >= self._fan_out_at_s and not await deliveries.fan_out():
                    self._fan_out_at_s = self._loop.time() + _spread(FAN_OUT_INTERVAL_S)
                if await self._start_due(deliveries):
                    await self._pace.give_way()
                else:
                    await self._rest()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await deliveries.close()

    async def _start_due(self, deliveries: Deliveries) -> int:
        """Begin attempts at what is due, as many as there is room for; return how many."""
        room = min(IN_FLIGHT_MAX - len(self._tasks), self._pace.size)
        if room <= 0:
            return 0
        busy = [endpoint for endpoint, count in self._busy.items() if count > 0]
        due = await deliveries.claim(busy, IN_FLIGHT_EACH_MAX, room)
        for delivery in due:
            self._busy[delivery.endpoint_id] += 1
            task = asyncio.create_task(self._deliver(deliveries, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(due)

    async def _rest(self) -> None:
        """Wait for the next attempt to end, or for a while."""
        pause_s = _spread(POLL_INTERVAL_S)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
            pause_s = SETTLE_PAUSE_S
        await asyncio.sleep(pause_s)

    async def _deliver(self, deliveries: Deliveries, delivery: Delivery) -> None:
        try:
            result = await self._attempt(delivery)
            self._observe(_outcome(result))
            await deliveries.finish(delivery, result)
        except OutboxUnavailable:
            # It is due again when its time is over; the endpoint sees the same id twice.
            log.info("a webhook's outcome could not be noted")
        finally:
            self._busy[delivery.endpoint_id] -= 1
            if not self._busy[delivery.endpoint_id]:
                del self._busy[delivery.endpoint_id]

    async def _attempt(self, delivery: Delivery) -> Result:
        chance = random.random()  # noqa: S311 - no secret
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                status, retry_after = await self._post(delivery)
        except TimeoutError:
            return failed(delivery.attempts, "it did not answer in time", chance, None)
        except AddressRefused as refusal:
            return failed(delivery.attempts, str(refusal), chance, None)
        except UNREACHABLE as failure:
            error = f"it cannot be reached: {str(failure) or type(failure).__name__}"
            return failed(delivery.attempts, error[:ERROR_LENGTH_MAX], chance, None)
        return answered(delivery.attempts, status, chance, retry_after)

    async def _post(self, delivery: Delivery) -> tuple[int, timedelta | None]:
        """Send one request; return the status and what Retry-After asks for."""
        address = await resolve(
            delivery.url, self._names, is_private_allowed=self._is_private_allowed
        )
        url = URL(delivery.url, encoded=True)
        body, message_id = message(delivery), ids.write_id(ids.EVENT, delivery.event_id)
        now_s = int(time.time())
        headers = {
            "host": url.host_port_subcomponent or "",
            "content-type": "application/json",
            "user-agent": "Evertill",
            "webhook-id": message_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": sign(delivery.secrets, message_id, now_s, body),
        }
        async with self._http.post(
            url.with_host(address),
            data=body,
            headers=headers,
            allow_redirects=False,
            # The certificate has to be the name's, although the address is what is connected to.
            server_hostname=url.host,
        ) as answer:
            # The body is nobody's business and may be endless.
            answer.close()
            return answer.status, _retry_after(answer.headers.get("retry-after"))


def _client() -> aiohttp.ClientSession:
    # Each connection is its own: two names may share an address, and not a connection. Nor do they
    # share cookies.
    connector = aiohttp.TCPConnector(
        limit=IN_FLIGHT_MAX, force_close=True, ssl=ssl.create_default_context()
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_S),
        skip_auto_headers=("accept", "accept-encoding"),
    )


def _spread(interval_s: float) -> float:
    """Return about that long: workers that began together should not go on together."""
    return interval_s * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


def _outcome(result: Result) -> str:
    if result.error is None:
        return "delivered"
    return "failed" if result.later is not None else "dead"


def _retry_after(header: str | None) -> timedelta | None:
    """Read Retry-After: seconds, or a date."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return timedelta(seconds=min(int(header[:9]), 10**9))
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return at - datetime.now(UTC) if at.tzinfo else None

"""The composition root: makes the parts of one worker process, joins them, starts and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec
import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests

from evertill.domain.errors import (
    EvertillError,
    InternalError,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from evertill.domain.requests import check_media_type
from evertill.service import docs, logs, metrics
from evertill.service.auth import Authenticator
from evertill.service.authority import keeper
from evertill.service.exchange import Exchange, Response
from evertill.service.health import Probe
from evertill.service.http import CONNECTIONS_MAX, Server
from evertill.service.jobs import (
    run_expiry,
    run_folding,
    run_forgetting,
    run_measuring,
    run_settlement,
)
from evertill.service.journaling import relays
from evertill.service.login import addresses
from evertill.service.models import Health, Readiness
from evertill.service.moves import Moves
from evertill.service.payments import REQUEST_TIMEOUT_S, Payments
from evertill.service.resources import Resources
from evertill.service.routes import ROUTES, Route, Router
from evertill.service.settings import Settings
from evertill.service.webhooks import Webhooks
from evertill.storage.committer import Committer
from evertill.storage.database import pool
from evertill.storage.sources import Pool, Sources

# As many as there are connections: those of a process that knows no key yet all wait for theirs.
TASKS_MAX: Final = CONNECTIONS_MAX
DRAIN_TIMEOUT_S: Final = 10.0
GAUGE_INTERVAL_S: Final = 1.0

MOVES: Final = frozenset((route.method, route.path) for route in ROUTES if route.needs_key)
_HEALTHY: Final = Response(200, msgspec.json.encode(Health()))

log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[Response] | Response | None]


class App:
    """One worker process of the service."""

    def __init__(self, settings: Settings, stream: logs.LogStream) -> None:
        """Put the parts together; nothing is started, and the database is not needed yet."""
        self._settings = settings
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        # One login for all: each would ask AWS for credentials of its own.
        self._database, reader = addresses(settings)
        speed = settings.time_scale
        self._pool = pool(self._database, speed)
        self._reader = None if reader is None else pool(reader, speed)
        sources = Sources(self._pool, self._reader)
        self._keeper = keeper(settings, lambda: self._probe.is_writable)
        permits = self._keeper.permit
        self._committer = Committer(self._database, permits, metrics.observe_commit, speed)
        self._authenticator = Authenticator(sources, settings.workers)
        self._probe = Probe(self._pool, sources, settings.region, permits, speed=speed)
        self._router = Router()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._background: list[asyncio.Task[Any]] = []
        self._stopping = False
        parts = (
            Payments(self._committer),
            Resources(sources),
            Moves(self._pool, permits),
            Webhooks(self._pool, is_private_allowed=settings.webhooks_private),
            self,
            docs,
        )
        self._handlers = {route.handler: _find_handler(parts, route) for route in ROUTES}
        self.server = Server(self._handle, self._log_reply)

    async def start(self, on_failure: Callable[[], None]) -> None:
        """Start what runs beside the requests; call `on_failure` if any of it ever ends."""
        for connections in self._pools():
            await connections.open(wait=False)
        self._keeper.start()
        speed = self._settings.time_scale
        for job in (
            self._committer.run(),
            self._authenticator.refresh(),
            self._probe.run(),
            run_expiry(self._pool, self._keeper.permit, speed),
            run_folding(self._pool),
            run_settlement(self._pool, self._keeper.permit, speed),
            run_forgetting(self._pool, speed),
            run_measuring(self._pool, speed),
            *relays(self._settings, self._database),
            self.server.sweep(),
            self._stream.run(),
            self._gauge(),
        ):
            task = self._loop.create_task(job)
            task.add_done_callback(lambda ended: self._note_end(ended, on_failure))
            self._background.append(task)

    async def stop(self) -> None:
        """Drain: answer what was received, commit what is queued, then end everything."""
        self._stopping = True
        await self.server.drain(DRAIN_TIMEOUT_S)
        self._committer.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._background[0], DRAIN_TIMEOUT_S)
        for task in [*self._tasks, *self._background]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._background, return_exceptions=True)
        await asyncio.to_thread(self._keeper.stop)
        for connections in self._pools():
            await connections.close()
        metrics.flush()
        self._stream.flush()

    def _pools(self) -> list[Pool]:
        return [self._pool] if self._reader is None else [self._pool, self._reader]

    def _note_end(self, task: asyncio.Task[Any], on_failure: Callable[[], None]) -> None:
        # A worker without its committer would only look alive; a new one is better.
        if not self._stopping:
            cause = None if task.cancelled() else task.exception()
            log.error("a background task ended", exc_info=cause)
            on_failure()

    # handlers that need none of the other rooms

    def health(self, _exchange: Exchange) -> Response:
        """Say that the process answers."""
        return _HEALTHY

    def ready(self, _exchange: Exchange) -> Response:
        """Say whether this region can take a payment now."""
        reason = self._probe.reason()
        headers = () if reason is None else (("retry-after", "2"),)
        body = msgspec.json.encode(Readiness(ready=reason is None, reason=reason))
        return Response(200 if reason is None else 503, body, headers=headers)

    def metrics(self, _exchange: Exchange) -> Response:
        """Return the figures of all workers."""
        return Response(200, metrics.scrape(), metrics.MEDIA_TYPE)

    # dispatch

    def _handle(self, exchange: Exchange) -> None:
        try:
            route, variable = self._router.find(exchange.method, exchange.path)
            exchange.route = route.path
            arguments = () if variable is None else (variable,)
            if exchange.body:
                check_media_type(exchange.headers)
            if route.scope is None:
                self._call(route, exchange, *arguments)
                return
            header = exchange.header(b"authorization")
            caller = self._authenticator.cached(header)
            if caller is not None:
                caller.check_scope(route.scope)
                self._call(route, exchange, caller, *arguments)
            else:
                self._spawn(exchange, self._look_up(route, exchange, header or "", arguments))
        except EvertillError as error:
            exchange.fail(error)
        except Exception:
            log.exception("a handler failed")
            exchange.fail(InternalError())

    def _call(self, route: Route, exchange: Exchange, *arguments: object) -> None:
        answer = self._handlers[route.handler](exchange, *arguments)
        if isinstance(answer, Response):
            exchange.reply(answer)
        elif answer is not None:
            self._spawn(exchange, answer)

    async def _look_up(
        self, route: Route, exchange: Exchange, header: str, arguments: tuple[str, ...]
    ) -> None:
        caller = await self._authenticator.look_up(header)
        caller.check_scope(route.scope or "admin")
        answer = self._handlers[route.handler](exchange, caller, *arguments)
        if isinstance(answer, Awaitable):
            exchange.reply(await answer)

    def _spawn(self, exchange: Exchange, answer: Awaitable[Response | None]) -> None:
        if len(self._tasks) >= TASKS_MAX:
            if isinstance(answer, Coroutine):
                answer.close()
            raise Overloaded
        task = self._loop.create_task(self._run(exchange, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, exchange: Exchange, answer: Awaitable[Response | None]) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                response = await answer
            if response is not None:
                exchange.reply(response)
        except EvertillError as error:
            exchange.fail(error)
        except TimeoutError:
            # What needs no key moves nothing, so nothing about it can be unknown.
            moves = (exchange.method, exchange.route) in MOVES
            exchange.fail(OutcomeUnknown() if moves else Unavailable())
        except (PoolTimeout, psycopg.OperationalError):
            exchange.fail(Unavailable())
        except TooManyRequests:
            exchange.fail(Overloaded())
        except Exception:
            log.exception("a handler failed")
            exchange.fail(InternalError())

    def _log_reply(self, exchange: Exchange, status: int, seconds: float) -> None:
        metrics.observe_request(exchange.route, exchange.method, status, seconds)
        self._stream.write_access(exchange, status, seconds)

    async def _gauge(self) -> None:
        while True:
            metrics.flush()
            metrics.QUEUED.set(self._committer.queued)
            metrics.CONNECTIONS.set(len(self.server.connections))
            await asyncio.sleep(GAUGE_INTERVAL_S)


def _find_handler(parts: tuple[object, ...], route: Route) -> Handler:
    for part in parts:
        handler: Handler | None = getattr(part, route.handler, None)
        if handler is not None:
            return handler
    raise LookupError(route.handler)

"""How the service connects to PostgreSQL, and what a lost connection looks like.

Session settings are named here once. Every wait has a bound on the server's side as well, so that
a statement cannot outlive the request that it was for by much.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg
from psycopg import conninfo, errors
from psycopg_pool import AsyncConnectionPool

from evertill.domain.tempo import paced
from evertill.storage import packing
from evertill.storage.migrate import SERVICE_ROLE

CONNECT_TIMEOUT_S: Final = 3
STATEMENT_TIMEOUT_MS: Final = 5_000
LOCK_TIMEOUT_MS: Final = 2_000
# Below a request's deadline: a frozen process must not hold locks beyond every caller's patience.
IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 4_000
TCP_USER_TIMEOUT_MS: Final = 5_000
KEEPALIVE_S: Final = 2
POOL_SIZE_MIN: Final = 1
POOL_SIZE_MAX: Final = 4
POOL_WAITING_MAX: Final = 256
POOL_TIMEOUT_S: Final = 2.0
# The pool's pauses between attempts double for as long as it goes on trying: after an outage of a
# minute it would sleep through another one. It gives up early instead, and the probe, which asks
# for a connection every second, makes it begin anew.
RECONNECT_TIMEOUT_S: Final = 3.0

# Nothing was or will be done by a statement that failed in one of these ways, and the same
# statement may succeed a moment later.
TRANSIENT: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.TooManyConnections,
    errors.CannotConnectNow,
)


Address = str | Callable[[], Awaitable[str]]
"""A connection string, or what makes one for each new connection, when its password is short-lived.
"""


async def resolve(address: Address) -> str:
    """Return the connection string for a connection that is made now, session settings included."""
    return service_conninfo(address if isinstance(address, str) else await address())


def service_conninfo(url: str) -> str:
    """Add the session settings of the service to a connection string."""
    settings = {
        "role": SERVICE_ROLE,
        "search_path": "evertill",
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_MS,
        # Plans are made once for arrays of any length, and never scan a table that is still small
        # when they are made: see docs/decisions/0005-group-commit.md.
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "timezone": "UTC",
    }
    return conninfo.make_conninfo(
        url,
        options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        connect_timeout=CONNECT_TIMEOUT_S,
        tcp_user_timeout=TCP_USER_TIMEOUT_MS,
        keepalives_idle=KEEPALIVE_S,
        keepalives_interval=KEEPALIVE_S,
        keepalives_count=2,
        application_name="evertill",
    )


def pool(
    address: Address, speed: float = 1.0
) -> AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]:
    """Make the pool for reads and moves of single payments; it opens while the service runs.

    With `speed` 10 it looks for a lost database ten times as often.
    """

    async def configure(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        packing.register(connection)

    # A string that is no connection string is refused here and now, before anything is served.
    fixed = service_conninfo(address) if isinstance(address, str) else None
    return AsyncConnectionPool(
        fixed or (lambda: resolve(address)),
        min_size=POOL_SIZE_MIN,
        max_size=POOL_SIZE_MAX,
        max_waiting=POOL_WAITING_MAX,
        timeout=POOL_TIMEOUT_S,
        reconnect_timeout=paced(RECONNECT_TIMEOUT_S, speed),
        kwargs={"prepare_threshold": 0},
        configure=configure,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )

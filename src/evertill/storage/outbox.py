"""The outbox as the journal uses it: a connection of its own, away from the payments.

It is separate from the pool because a term lasts as long as its connection, and because its
session's settings differ: nobody waits for these commits, and losing one repeats a delivery only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Self

import psycopg
from psycopg import conninfo
from psycopg_pool import AsyncConnectionPool

from evertill.domain import ids
from evertill.domain.outbox import Claim, Head, OutboxEvent, OutboxUnavailable, Receiver, Term
from evertill.storage.database import Address, resolve
from evertill.storage.statements import STATEMENTS

# It is renewed at half of it, and a delivery with the pause before the next try ends within that. A
# holder that dies is noticed at once all the same.
LEASE: Final = timedelta(seconds=30)
# Enough to sort what one statement reads without a file.
WORK_MEM: Final = "16MB"


async def connect(address: Address) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """Return a connection for deliveries alone; raise OutboxUnavailable."""
    settings = f" -c synchronous_commit=off -c work_mem={WORK_MEM}"
    try:
        base = await resolve(address)
        options = str(conninfo.conninfo_to_dict(base)["options"]) + settings
        full = conninfo.make_conninfo(base, options=options, application_name="evertill-journal")
        return await psycopg.AsyncConnection.connect(full, autocommit=True, prepare_threshold=0)
    except psycopg.Error as failure:
        raise OutboxUnavailable from failure


class PostgresOutbox:
    """One term of one receiver on one connection; see evertill.domain.outbox.Outbox."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection[tuple[Any, ...]],
        scope: dict[str, int],
    ) -> None:
        """Use `connection` alone; `scope` names the receiver and all that are served here."""
        self._connection = connection
        self._scope = scope
        self._term_id = b""

    @classmethod
    async def connect(
        cls, address: Address, receiver: Receiver, served: frozenset[Receiver]
    ) -> Self:
        """Connect for a term; raise OutboxUnavailable."""
        connection = await connect(address)
        return cls(connection, {"receiver": receiver, "served": sum(served)})

    async def begin(self) -> Term | None:
        """Begin a term; None while another process holds the outbox."""
        # Drawn anew for each try: whoever waited long must not begin under an id from before.
        self._term_id = ids.new_id()
        rows = await self._call("begin_term", lease=LEASE)
        if not rows:
            return None
        region, chain, sequence, last_hash = rows[0]
        head = None if region is None else Head(region, chain.hex, sequence, last_hash)
        return Term(self._term_id, head)

    async def claim(self, most: int) -> Claim | None:
        """Go on with the term; None when it has become another's, for good."""
        rows = await self._call("claim_outbox", lease=LEASE, most=most)
        return Claim(rows[0][0], rows[0][1] or []) if rows else None

    async def read(self, batch_ids: Sequence[int]) -> list[OutboxEvent]:
        """Return the events of claimed batches, in order."""
        rows = await self._call("read_outbox", batch_ids=list(batch_ids))
        return [OutboxEvent(r[0], r[1].bytes, r[2].bytes, r[3], r[4], r[5]) for r in rows]

    async def settle(self, batch_ids: Sequence[int], head: Head | None) -> bool:
        """Note that batches were delivered; False when the term has become another's."""
        rows = await self._call(
            "settle_outbox",
            batch_ids=list(batch_ids),
            region=head and head.region,
            sequence=head and head.sequence,
            hash=head and head.hash,
        )
        return bool(rows[0][0])

    async def close(self) -> None:
        """End the term, so that another can begin at once."""
        await self._connection.close()

    async def _call(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        given = {"term": self._term_id.hex(), **self._scope, **parameters}
        try:
            cursor = await self._connection.execute(STATEMENTS[statement], given, binary=True)
            return await cursor.fetchall()
        except psycopg.Error as failure:
            raise OutboxUnavailable from failure


async def measure(pool: AsyncConnectionPool) -> dict[Receiver, tuple[int, float]]:
    """Return roughly how many batches wait for each receiver, and for how many seconds."""
    async with pool.connection() as connection:
        cursor = await connection.execute(STATEMENTS["measure_outbox"], binary=True)
        rows = await cursor.fetchall()
    return {Receiver(row[0]): (int(row[1]), float(row[2])) for row in rows}

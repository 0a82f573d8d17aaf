"""Taking connections: workers that share a socket share what comes in."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

import pytest

from evertill.service import accepting
from evertill.service.accepting import Acceptor

CONNECTIONS = 12
TIMEOUT_S = 10.0


class _Counting(asyncio.Protocol):
    """Counts the connections that one acceptor took."""

    def __init__(self, taken: list[asyncio.BaseTransport], enough: asyncio.Event) -> None:
        self._taken = taken
        self._enough = enough

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._taken.append(transport)
        self._enough.set()


async def _connect(port: int) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(CONNECTIONS):
        client = socket.socket()
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        clients.append(client)
    return clients


async def _share() -> tuple[int, int]:
    """Let two acceptors take from one socket; return how many connections each has."""
    listener = socket.create_server(("127.0.0.1", 0))
    enough = asyncio.Event()
    taken: tuple[list[asyncio.BaseTransport], ...] = ([], [])
    acceptors = [Acceptor(listener.dup(), partial(_Counting, mine, enough)) for mine in taken]
    clients = await _connect(listener.getsockname()[1])
    async with asyncio.timeout(TIMEOUT_S):
        while sum(map(len, taken)) < CONNECTIONS:
            enough.clear()
            await enough.wait()
    for acceptor in acceptors:
        acceptor.close()
    for transport in (*taken[0], *taken[1]):
        transport.close()
    for closing in (*clients, listener):
        closing.close()
    await asyncio.sleep(0)
    return len(taken[0]), len(taken[1])


def test_two_workers_share_a_handful_of_connections() -> None:
    shares = asyncio.run(_share())
    assert CONNECTIONS == sum(shares)
    assert min(shares) >= CONNECTIONS // 4


def test_a_worker_without_descriptors_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def take_late() -> bytes:
        listener = socket.create_server(("127.0.0.1", 0))
        monkeypatch.setattr(accepting, "FAILURE_PAUSE_S", 0.01)
        enough = asyncio.Event()
        acceptor = Acceptor(listener, lambda: _Counting([], enough))
        # A socket that does not listen refuses as one does for which no descriptor is left.
        acceptor._listener = deaf = socket.socket()
        asyncio.get_running_loop().remove_reader(listener)
        client = socket.create_connection(listener.getsockname())
        acceptor._take()
        acceptor._listener = listener
        async with asyncio.timeout(TIMEOUT_S):
            await enough.wait()
        acceptor.close()
        deaf.close()
        client.close()
        return b"taken"

    assert asyncio.run(take_late()) == b"taken"

"""A real HTTP server on a loopback address that does as it is told: answers, waits, hangs up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

REASON: Final = "As Told"


class Upstream:
    """Answers each request with its own address; what it saw is kept."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.status = 200
        self.health = 200
        self.hangs_up = False
        self.holds = asyncio.Event()
        self.holds.set()
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.checks: list[dict[str, str]] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                path = head[0].split(" ")[1]
                headers = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                await reader.readexactly(int(headers.get("content-length", "0")))
                if not await self._answer(path, headers, writer):
                    break
        writer.close()

    async def _answer(
        self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> bool:
        if path.startswith("/health"):
            self.checks.append(headers)
            status = self.health
        else:
            self.seen.append((path, headers))
            await self.holds.wait()
            status = self.status
            if self.hangs_up:
                return False
        body = self.host.encode()
        writer.write(
            f"HTTP/1.1 {status} {REASON}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        await writer.drain()
        return True


@contextlib.asynccontextmanager
async def serving(host: str, port: int) -> AsyncIterator[Upstream]:
    upstream = Upstream(host, port)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()

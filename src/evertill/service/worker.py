"""One worker process: takes over a listening socket, serves until told to stop, then drains."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from typing import Final

import uvloop

from evertill.service import logs
from evertill.service.accepting import Acceptor
from evertill.service.app import App
from evertill.service.settings import Settings, read_settings

PARENT_CHECK_INTERVAL_S: Final = 0.5
COLLECT_AFTER_OBJECTS: Final = 50_000


async def serve(settings: Settings, listener: socket.socket, parent: int) -> None:
    """Serve on `listener` until SIGTERM or SIGINT, or until the process `parent` is gone."""
    _tune_collector()
    stream = logs.LogStream()
    logs.configure(stream)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = App(settings, stream)
    await app.start(on_failure=stop.set)
    acceptor = Acceptor(listener, app.server.connection)
    watcher = loop.create_task(_watch_parent(stop, parent))
    await stop.wait()
    watcher.cancel()
    acceptor.close()
    await app.stop()


def _tune_collector() -> None:
    # A payment leaves no cycles behind, so looking for some after every 700 objects is wasted.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


async def _watch_parent(stop: asyncio.Event, parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing announces a parent's death
        await asyncio.sleep(PARENT_CHECK_INTERVAL_S)
    stop.set()


def main() -> int:
    """Run a worker on the file descriptor that the supervisor hands down."""
    parser = argparse.ArgumentParser(prog="evertill-worker")
    parser.add_argument("--descriptor", type=int, required=True)
    # Told by the parent itself: it may be gone before we can ask.
    parser.add_argument("--parent", type=int, default=os.getppid())
    arguments = parser.parse_args()
    listener = socket.socket(fileno=arguments.descriptor)
    uvloop.run(serve(read_settings(), listener, arguments.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())

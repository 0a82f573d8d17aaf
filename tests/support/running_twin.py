"""A whole twin in a thread, tested over its control API as everybody else uses it."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tests.support.databases import make_folder

from evertill.twin.running.session import running
from evertill.twin.running.twin import Twin

SPEED = 10.0
START_TIMEOUT_S = 120.0
DEADLINE_S = 60.0
PAUSE_S = 0.05
T = TypeVar("T")


class RunningTwin:
    """A twin that runs in a thread, and its control API."""

    def __init__(self, path: Path, count_max: int | None = None) -> None:
        self.folder = make_folder()
        self._path = path
        self._count_max = count_max
        self._twin: Twin | None = None
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self.http = httpx.Client()

    @property
    def twin(self) -> Twin:
        """The twin, for what only its parts tell."""
        assert self._twin is not None
        return self._twin

    def start(self) -> None:
        """Start it; raise what stood in the way."""
        self._thread.start()
        assert self._started.wait(START_TIMEOUT_S), "the twin did not start in time"
        if self._failure is not None:
            raise self._failure
        self.http.close()
        self.http = httpx.Client(base_url=self.twin.control_url, timeout=60, trust_env=False)

    def stop(self) -> None:
        """Stop it and delete its data."""
        self.http.close()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_TIMEOUT_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the twin's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def status(self) -> dict[str, Any]:
        """Return the status document."""
        document: dict[str, Any] = self.http.get("/status").json()
        return document

    def region(self, name: str) -> dict[str, Any]:
        """Return a region's part of the status document."""
        region: dict[str, Any] = self.status()["regions"][name]
        return region

    def set(self, fault: str, **parameters: Any) -> str:
        """Set a fault and return its id."""
        # `from` is a word of Python.
        named = {name.rstrip("_"): value for name, value in parameters.items()}
        answer = self.http.post("/faults", json={"fault": fault, **named})
        assert 201 == answer.status_code, answer.text
        return str(answer.json()["id"])

    def undo(self, fault_id: str) -> None:
        """Undo a fault."""
        answer = self.http.delete(f"/faults/{fault_id}")
        assert 200 == answer.status_code, answer.text

    def until_steady(self) -> None:
        """Wait until every service is as it should be, and every target healthy."""
        until(lambda: all(map(is_well, self.status()["regions"].values())), "a steady twin")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as failure:  # noqa: BLE001 - told by `start`, in the other thread
            self._failure = failure
        finally:
            self._started.set()
            self._loop.close()

    async def _live(self) -> None:
        async with running(
            self._path, self.folder, say=lambda _: None, speed=SPEED, count_max=self._count_max
        ) as twin:
            self._twin = twin
            self._started.set()
            await self._stopping.wait()


@contextmanager
def running_twin(path: Path, count_max: int | None = None) -> Iterator[RunningTwin]:
    """Run the twin of an assembly."""
    twin = RunningTwin(path, count_max)
    try:
        twin.start()
        yield twin
    finally:
        twin.stop()


def is_well(region: dict[str, Any]) -> bool:
    """Tell whether a region's services are steady and all their targets healthy."""
    targets = [target for item in region["load_balancer"] for target in item["targets"]]
    return (
        all(item["is_steady"] for item in region["services"])
        and bool(targets)
        and all(target["health"] == "healthy" for target in targets)
    )


def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, f"{what} did not come"
        time.sleep(PAUSE_S)

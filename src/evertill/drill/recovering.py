"""`evertill recovery` as an operator types it: a process of its own, which may be killed.

It is separate because this is all that the drill knows of recovery: a command line, an exit status,
the JSON that commands print, and the journals and reports that `run` leaves in its folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from evertill.drill.errors import RecoveryFailed
from evertill.drill.ground import Ground

KEY_VARIABLE: Final = "EVERTILL_RECOVERY_API_KEY"
SPEED_VARIABLE: Final = "EVERTILL_TIME_SCALE"
JOURNALS: Final = "*/*.journal.ndjson"
REPORTS: Final = "*/report.json"
PLAN: Final = "plan"
# What changes who writes, asks for a typed phrase and goes on where it was killed.
CHANGES: Final = frozenset({"run", "failback"})
# A report names the parts of a recovery time for people.
PARTS: Final = {
    "detect": "detect_s",
    "decide": "decide_s",
    "fence": "fence_s",
    "promote": "promote_s",
    "route": "route_s",
}
KILLS_MAX: Final = 30
TAIL_MAX_CHARACTERS: Final = 1_500
POLL_S: Final = 0.02


class Told(msgspec.Struct, frozen=True):
    """What a recovery command said: a note for people, and its document."""

    note: str
    document: dict[str, Any]


class Recovery:
    """Runs the command on a ground."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        """Let it keep its journals and reports in `folder`."""
        self._ground = ground
        self._folder = folder
        # What was planned last, by kind and target: who has read a plan does not make another.
        self._plans: dict[tuple[str, str], dict[str, Any]] = {}

    async def run(self, arguments: Sequence[str], within_s: float, *, is_killed: bool) -> Told:
        """Run a command to its end; raise RecoveryFailed when it does not end well.

        With `is_killed` it is killed after every step that it has done, and run again each time.
        """
        try:
            async with asyncio.timeout(within_s):
                if arguments[0] in CHANGES:
                    return await self._carry_out(arguments, is_killed=is_killed)
                return await self._ask(arguments)
        except TimeoutError:
            message = f"recovery {' '.join(arguments)} did not end in {within_s:.0f} s."
            raise RecoveryFailed(message) from None

    async def _ask(self, arguments: Sequence[str]) -> Told:
        process = await self._start([*arguments, "--json"])
        output, errors = await _ended(process)
        document = _document(output)
        # Exit status 1 says that something does harm, which is what a drill brings about.
        if not document:
            raise RecoveryFailed(_failure(arguments, process.returncode, errors))
        if arguments[0] == PLAN:
            self._plans[document["kind"], document["target"]] = document
        return Told("", document)

    async def _carry_out(self, arguments: Sequence[str], *, is_killed: bool) -> Told:
        confirmed = [*arguments, f"--confirm={await self._phrase(arguments)}"]
        kills = 0
        process = await self._start(confirmed)
        while is_killed and kills < KILLS_MAX:
            if not await self._killed(process, self._steps_done() + 1):
                break
            kills += 1
            process = await self._start(confirmed)
        output, errors = await _ended(process)
        if process.returncode != 0:
            raise RecoveryFailed(_failure(arguments, process.returncode, errors or output))
        return Told(f"killed {kills} times" if kills else "", self._report())

    async def _phrase(self, arguments: Sequence[str]) -> str:
        """Approve what the plan says, as a person would after having read it.

        A loss is approved with room, because it grows while somebody reads.
        """
        target = arguments[arguments.index("--to") + 1]
        kind = arguments[1] if arguments[0] == "run" else "switchover"
        if (kind, target) not in self._plans:
            await self._ask(["plan", kind, "--to", target])
        plan = self._plans.pop((kind, target))
        payments = (plan.get("loss") or {}).get("payments")
        if kind == "failover" and payments is not None:
            return f"lose up to {2 * payments + 100} payments"
        return str(plan["phrase"])

    async def _start(self, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "evertill.cli", "recovery", *arguments]
        return await asyncio.create_subprocess_exec(
            *command,
            *self._ground.recovery_arguments(),
            f"--folder={self._folder}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )

    def _environment(self) -> Mapping[str, str]:
        speed = self._ground.speed
        scale = {SPEED_VARIABLE: f"{speed:g}"} if speed != 1 else {}
        return {**os.environ, KEY_VARIABLE: self._ground.key, **scale}

    async def _killed(self, process: asyncio.subprocess.Process, count: int) -> bool:
        """Kill the process once `count` steps are done; tell whether it came to that."""
        ending = asyncio.create_task(process.wait())
        try:
            while not ending.done():
                if self._steps_done() >= count and not self._is_over():
                    process.send_signal(signal.SIGKILL)
                    await _ended(process)
                    return True
                await asyncio.sleep(POLL_S)
        finally:
            ending.cancel()
        return False

    def _lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for path in sorted(self._folder.glob(JOURNALS))
            for line in path.read_text().splitlines(keepends=True)
            # A line that is being written is not there yet.
            if line.endswith("\n")
        ]

    def _steps_done(self) -> int:
        return sum(line["event"] == "done" for line in self._lines())

    def _is_over(self) -> bool:
        lines = self._lines()
        return bool(lines) and lines[-1]["event"] == "ended"

    def _report(self) -> dict[str, Any]:
        """Return the latest run's report, with its parts under the names of figures."""
        paths = sorted(self._folder.glob(REPORTS), key=lambda path: path.stat().st_mtime)
        if not paths:
            return {}
        report: dict[str, Any] = json.loads(paths[-1].read_bytes())
        report["rto"] = {
            PARTS[part["name"]]: part["seconds"]
            for part in report.get("parts", ())
            if part["name"] in PARTS and part["seconds"] is not None
        }
        return report


async def _ended(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """Wait for the end of a process; whoever stops waiting ends it."""
    try:
        return await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise


def _document(output: bytes) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(output)
    except ValueError:
        return {}
    return document


def _failure(arguments: Sequence[str], status: int | None, said: bytes) -> str:
    text = said.decode(errors="replace")[-TAIL_MAX_CHARACTERS:].strip()
    return f"recovery {' '.join(arguments)} ended with {status}: {text}"

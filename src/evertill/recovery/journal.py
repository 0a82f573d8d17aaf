"""The journal of a run: what was begun, learned and done, on disk before anything follows from it.

A run that is killed at any point goes on from its journal: done steps are not done again, and what
was learned before something changed (who wrote, the guard's limit) is not asked again after it. It
is separate from carrying steps out, because its file is what another process finds.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from evertill.recovery.errors import RecoveryRuns
from evertill.recovery.evaluate import Left
from evertill.recovery.pace import moment
from evertill.recovery.plan import Kind, Plan

FILE: Final = "steps.journal.ndjson"
PLAN: Final = "plan.json"
LEFT: Final = "left.json"
LOCK: Final = "lock"
RUNS_MAX: Final = 10_000

Event = Literal["started", "begun", "fact", "done", "failed", "ended", "superseded"]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a journal."""

    at: str
    event: Event
    step: str = ""
    text: str = ""
    facts: dict[str, Any] = msgspec.field(default_factory=dict)


class Journal:
    """One run's journal."""

    def __init__(self, folder: Path, plan: Plan, lines: list[Line]) -> None:
        """Go on in `folder`; `begin` and `unfinished` make journals."""
        self.folder: Final = folder
        self.plan: Final = plan
        self.lines: Final = lines

    @property
    def run_id(self) -> str:
        """Return the run's name, which payments of it are keyed by."""
        return self.folder.name

    @property
    def facts(self) -> dict[str, Any]:
        """Return everything that was learned; the last word counts."""
        return {name: value for line in self.lines for name, value in line.facts.items()}

    @property
    def done(self) -> set[str]:
        """Return the steps that are done."""
        return {line.step for line in self.lines if line.event == "done"}

    def has_begun(self, step: str) -> bool:
        """Tell whether a step was begun before."""
        return any(line.event == "begun" and line.step == step for line in self.lines)

    @property
    def is_open(self) -> bool:
        """Tell whether the run has not ended."""
        return not any(line.event in {"ended", "superseded"} for line in self.lines)

    def write(self, event: Event, step: str = "", text: str = "", **facts: object) -> Line:
        """Add a line; when this returns it is on disk."""
        line = Line(moment(), event, step, text, facts)
        with (self.folder / FILE).open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.lines.append(line)
        return line

    def note(self, **facts: object) -> None:
        """Write down what was learned, if it was not known: a run that goes on learns it again."""
        known = self.facts
        news = {name: value for name, value in facts.items() if known.get(name) != value}
        if news:
            self.write("fact", "", "", **news)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder of all runs, so that two do not change the world at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RecoveryRuns from None
        yield


def begin(folder: Path, plan: Plan) -> Journal:
    """Make the journal of a new run, its plan beside it."""
    stamp = moment().replace(":", "").replace("-", "").partition(".")[0]
    for number in range(RUNS_MAX):
        tail = f"-{number}" if number else ""
        place = folder / f"{stamp}Z-{plan.kind}-{plan.target}{tail}"
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            continue
        _keep(place / PLAN, msgspec.json.format(msgspec.json.encode(plan)))
        journal = Journal(place, plan, [])
        journal.write("started", text=f"{plan.kind} to {plan.target}")
        return journal
    raise RecoveryRuns


def unfinished(folder: Path) -> Journal | None:
    """Return the last run's journal if that run has not ended."""
    found = list(journals(folder))
    if not found or not found[-1].is_open:
        return None
    # What a kill left of a line is no line; the next one must not continue it.
    whole = b"".join(msgspec.json.encode(line) + b"\n" for line in found[-1].lines)
    os.truncate(found[-1].folder / FILE, len(whole))
    return found[-1]


def last_ended(folder: Path, kind: str, target: str) -> Journal | None:
    """Return the last run's journal if it was of that kind to that region, and came to its end."""
    found = list(journals(folder))
    if not found or (found[-1].plan.kind, found[-1].plan.target) != (kind, target):
        return None
    return found[-1] if any(line.event == "ended" for line in found[-1].lines) else None


def journals(folder: Path) -> Iterator[Journal]:
    """Return every run's journal, the oldest first; what is not readable as one is passed over."""
    for path in sorted(folder.glob(f"*/{FILE}")):
        try:
            plan = msgspec.json.decode((path.parent / PLAN).read_bytes(), type=Plan)
        except (OSError, msgspec.MsgspecError):
            continue
        yield Journal(path.parent, plan, _lines(path))


def keep_left(folder: Path, left: Left) -> None:
    """Write down how a run left the world."""
    _keep(folder / LEFT, msgspec.json.encode(left))


def read_left(folder: Path) -> Left | None:
    """Return how the last run left the world, None before any."""
    try:
        return msgspec.json.decode((folder / LEFT).read_bytes(), type=Left)
    except (OSError, msgspec.MsgspecError):
        return None


def measured_s(folder: Path, kind: Kind) -> dict[str, float]:
    """Return how long each step of the last finished run of a kind took."""
    for journal in reversed(list(journals(folder))):
        if journal.plan.kind == kind and any(line.event == "ended" for line in journal.lines):
            took: dict[str, float] = journal.facts.get("steps_s", {})
            return took
    return {}


def _lines(path: Path) -> list[Line]:
    """Read a journal; a last line that was cut off by a kill was never acted upon."""
    found = []
    for raw in path.read_bytes().split(b"\n"):
        try:
            found.append(msgspec.json.decode(raw, type=Line))
        except msgspec.MsgspecError:
            break
    return found


def _keep(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and durably."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""A drill file, read into types: workload, steps with their times, and bounds.

It is separate from running one, so that a mistake in a file is found before anything is started.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from evertill.drill.adds import adds
from evertill.drill.chaos import Chaos
from evertill.drill.errors import DrillUnreadable
from evertill.drill.steps import Step
from evertill.drill.workload import Workload

SUFFIX: Final = ".toml"
# Where the drills lie in a checkout; an installed package has none.
FOLDER: Final = Path(__file__).parents[3] / "drills"

Seconds = Annotated[float, Meta(ge=0, le=3_600)]


class Drill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One drill; its seconds are twin seconds, so at a higher speed it is over sooner.

    `bounds` names figures and the most that each may be, `at_least` the least.
    """

    title: str
    seed: int = 1
    tasks: Annotated[int, Meta(ge=1, le=10)] = 2
    # What a twin of its own is started with besides, for faults that have to be prepared.
    twin_options: list[str] = []
    before_s: Seconds = 20.0
    after_s: Seconds = 30.0
    workload: Workload = Workload()
    steps: list[Step] = []
    chaos: Chaos | None = None
    # The step whose beginning the recovery time is counted from; the first one where none is named.
    measured_from: str = ""
    bounds: dict[str, float] = {}
    at_least: dict[str, float] = {}
    # What AWS adds to this that the twin does not model: names of `drill.adds`.
    aws_adds: list[str] = []

    @property
    def marked(self) -> str:
        """The name of the step that times are counted from, empty without any step."""
        return self.measured_from or (self.steps[0].label if self.steps else "")


def read_drill(path: Path) -> Drill:
    """Read a drill file; raise DrillUnreadable, which says where it is wrong."""
    try:
        drill = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Drill)
    except OSError as failure:
        raise DrillUnreadable(f"{path} cannot be read: {failure.strerror}.") from None
    except tomllib.TOMLDecodeError as failure:
        raise DrillUnreadable(f"{path} is no TOML: {failure}.") from None
    except msgspec.ValidationError as failure:
        raise DrillUnreadable(f"{path} is no drill: {failure}.") from None
    adds(drill.aws_adds)
    labels = {step.label for step in drill.steps}
    unknown = [step.undo for step in drill.steps if step.undo not in {"", "all", *labels}]
    if drill.measured_from and drill.measured_from not in labels:
        unknown.append(drill.measured_from)
    if unknown:
        message = f"{path} names no step {unknown[0]!r}; there is {', '.join(sorted(labels))}."
        raise DrillUnreadable(message)
    return drill


def find_drills(folder: Path = FOLDER) -> Iterator[Path]:
    """Give the drills of a folder, by name."""
    yield from sorted(folder.glob(f"*{SUFFIX}"))

"""The steps of a drill as its file writes them: what is done, and what is waited for.

It is separate from the doing so that files can be read, and chaos made, without a platform.
Text may name what only the platform knows: `{active}`, `{standby}`, `{zone_a}` (of the active
region), `{writer_zone}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from evertill.drill.errors import DrillUnreadable

Value = str | int | float | bool
WITHIN_MAX_S: Final = 1_800.0


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step: exactly one of fault, undo, recovery, deploy, until and count_lost.

    It begins `wait_s` after the step before has ended. `undo` names a step, or `all`. `count_lost`
    looks for what is missing at that moment, before anything brings it back.
    """

    name: str = ""
    wait_s: Annotated[float, Meta(ge=0, le=3_600)] = 0.0
    fault: str = ""
    parameters: dict[str, Value] = {}
    undo: str = ""
    recovery: list[str] = []
    kill_at_each_step: bool = False
    deploy: str = ""
    until: str = ""
    count_lost: bool = False
    within_s: Annotated[float, Meta(gt=0, le=WITHIN_MAX_S)] = 300.0

    def __post_init__(self) -> None:
        """Refuse a step that says nothing, or two things."""
        said = (
            self.fault,
            self.undo,
            self.recovery,
            self.deploy,
            self.until,
            self.count_lost,
        )
        if sum(bool(each) for each in said) != 1:
            message = "a step is exactly one of fault, undo, recovery, deploy, until and count_lost"
            raise ValueError(message)

    @property
    def label(self) -> str:
        """What the step is called in reports, and by others."""
        if self.name:
            return self.name
        if self.recovery:
            return " ".join(["recovery", *self.recovery[:2]])
        if self.count_lost:
            return "count what is lost"
        undone = f"undo {self.undo}" if self.undo else ""
        deployed = f"deploy {self.deploy}" if self.deploy else ""
        return self.fault or undone or deployed or f"until {self.until}"


def filled(text: str, words: Mapping[str, str]) -> str:
    """Return a text with the platform's words in it; raise DrillUnreadable for one it lacks."""
    try:
        return text.format(**words)
    except (KeyError, IndexError, ValueError):
        known = ", ".join(f"{{{word}}}" for word in words)
        raise DrillUnreadable(f"{text!r} names what is not there; there is {known}.") from None


def filled_values(values: Mapping[str, Value], words: Mapping[str, str]) -> dict[str, Value]:
    """Return a fault's parameters with the platform's words in them."""
    return {
        name: filled(value, words) if isinstance(value, str) else value
        for name, value in values.items()
    }

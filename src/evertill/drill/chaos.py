"""A schedule of faults by chance: equal seeds make equal schedules.

It is separate and pure, so that a run that found something can be had again from its seed alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from evertill.drill.steps import Step, Value


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault that may be chosen; `choices` has parameters of which one value each is drawn."""

    fault: str
    parameters: dict[str, Value] = {}
    choices: dict[str, list[Value]] = {}
    weight: Annotated[float, Meta(gt=0)] = 1.0


class Chaos(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many faults, of which kinds, how long each lasts and how long nothing follows it."""

    faults: Annotated[int, Meta(ge=1, le=500)]
    of: list[Choice]
    lasts_min_s: Annotated[float, Meta(ge=0)] = 2.0
    lasts_max_s: Annotated[float, Meta(ge=0)] = 20.0
    pause_min_s: Annotated[float, Meta(ge=0)] = 10.0
    pause_max_s: Annotated[float, Meta(ge=0)] = 30.0


def chaos_steps(chaos: Chaos, seed: int) -> Iterator[Step]:
    """Give the steps of a seed: each fault is undone before the next one comes."""
    chance = random.Random(f"{seed} chaos")  # noqa: S311 - no secret
    weights = [choice.weight for choice in chaos.of]
    for number in range(1, chaos.faults + 1):
        choice = chance.choices(chaos.of, weights)[0]
        drawn = {name: chance.choice(values) for name, values in sorted(choice.choices.items())}
        name = f"{number}: {choice.fault}"
        yield Step(
            name=name,
            wait_s=chance.uniform(chaos.pause_min_s, chaos.pause_max_s),
            fault=choice.fault,
            parameters={**choice.parameters, **drawn},
        )
        yield Step(undo=name, wait_s=chance.uniform(chaos.lasts_min_s, chaos.lasts_max_s))

"""A drill's bounds held against its figures.

It is separate and pure: a figure that a bound names and that nobody measured fails the drill.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec


class Broken(msgspec.Struct, frozen=True):
    """A bound that does not hold, as a sentence."""

    figure: str
    sentence: str


def broken(
    figures: Mapping[str, object], most: Mapping[str, float], least: Mapping[str, float]
) -> Iterator[Broken]:
    """Give the bounds that do not hold."""
    for bounds, word in ((most, "at most"), (least, "at least")):
        for name, bound in bounds.items():
            value = figures.get(name)
            if not isinstance(value, int | float):
                yield Broken(name, f"{name} was not measured and may be {word} {bound:g}")
            elif value > bound if word == "at most" else value < bound:
                yield Broken(name, f"{name} is {value:g} and may be {word} {bound:g}")

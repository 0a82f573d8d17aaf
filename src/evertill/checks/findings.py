"""What a rule reports: a resource, what will come of it, and what to do.

It is separate because rules, their runner and the command line share it and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec

from evertill.assembly import Model, Resource


class Report(msgspec.Struct, frozen=True):
    """What a rule says of one resource."""

    resource: Resource
    consequence: str
    fix: str


class Finding(msgspec.Struct, frozen=True, order=True):
    """A report under its rule's name, in plain words, for people and programs."""

    stack: str
    resource: str
    rule: str
    consequence: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        """Return the finding as the command's JSON holds it."""
        return {
            "rule": self.rule,
            "resource": self.resource,
            "stack": self.stack,
            "consequence": self.consequence,
            "fix": self.fix,
        }


Rule: TypeAlias = Callable[[Model], Iterator[Report]]

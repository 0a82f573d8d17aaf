"""Breaks one thing of the platform that breaks no rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.platform import platform
from tests.support.templates import StackFile

GONE = object()
Edits = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What is changed, and which rule must find it where, in words that hold `words`.

    An edit's key is `stack/LogicalId.Properties.A.0.B`; its value replaces what is there, or adds
    it, or, as GONE, removes it.
    """

    rule: str
    edits: Edits
    found: str
    words: str
    dependencies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}: {', '.join(self.edits) or self.dependencies}"

    def stacks(self) -> list[StackFile]:
        """Return the platform with the edits."""
        stacks = platform()
        for path, value in self.edits.items():
            stack, _, inner = path.partition("/")
            _edit(stacks[stack].resources, inner.split("."), value)
        return [
            StackFile(
                stack.resources,
                id=stack.id,
                region=stack.region,
                name=stack.name,
                dependencies=self.dependencies.get(stack.id, ()),
                sections={"Outputs": self.outputs.get(stack.id, {})},
            )
            for stack in stacks.values()
        ]


def _edit(holder: Any, steps: list[str], value: Any) -> None:
    *way, last = steps
    for step in way:
        holder = holder[int(step)] if isinstance(holder, list) else holder.setdefault(step, {})
    key: Any = int(last) if isinstance(holder, list) else last
    if value is GONE:
        del holder[key]
    elif isinstance(holder, list) and key == len(holder):
        holder.append(value)
    else:
        holder[key] = value

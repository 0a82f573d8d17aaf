"""The typed model of an assembly: stacks, resources, outputs, and how they refer to each other.

It is separate because it is what everything else uses; how it came about does not matter to it.
Values are literals where they are known, `Reference` where they name a resource, `Unknown` where
the templates cannot tell. Asking for what is not there gives None and never raises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from evertill.assembly.naming import LOWER_CASE_TYPES, NAME_PROPERTIES
from evertill.assembly.values import Reference, Text, Unknown, Value, references_in, split

ARN_FIELDS: Final = 6
TRUTHS: Final = {"true": True, "false": False}


class Arn(msgspec.Struct, frozen=True):
    """The fields of an ARN that are compared; each may be unknown."""

    service: Value
    region: Value
    account: Value
    resource: Value


class Resource(msgspec.Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """One resource of one stack; `is_certain` is False behind a condition that is not known."""

    stack: str
    logical_id: str
    type: str
    region: str | None
    account: str | None
    properties: dict[str, Value]
    metadata: dict[str, Value]
    depends_on: tuple[str, ...] = ()
    deletion_policy: str | None = None
    update_replace_policy: str | None = None
    is_certain: bool = True

    def __str__(self) -> str:
        return f"{self.stack}.{self.logical_id}"

    @property
    def reference(self) -> Reference:
        """Return what `Ref` returns for this resource."""
        return Reference(self.stack, self.logical_id)

    @property
    def path(self) -> str:
        """Return the construct path that the CDK noted, `stack/logical_id` without one."""
        noted = self.metadata.get("aws:cdk:path")
        return noted if isinstance(noted, str) else f"{self.stack}/{self.logical_id}"

    @property
    def name(self) -> Value:
        """Return the physical name that the template gives, None when AWS will choose one."""
        name = self.get(NAME_PROPERTIES.get(self.type, ""))
        return name.lower() if self.type in LOWER_CASE_TYPES and isinstance(name, str) else name

    def get(self, path: str) -> Value:
        """Return the property at `A.B.0.C`, None when it is absent.

        Below an unknown value everything is that same unknown.
        """
        value: Value = self.properties
        for step in path.split("."):
            value = child(value, step)
        return value

    def has(self, path: str) -> bool:
        """Tell whether the property is there, known or not."""
        return self.get(path) is not None

    def text(self, path: str, default: str | None = None) -> str | None:
        """Return a property as a string, `default` when it is absent, None when it is unknown."""
        return as_text(self.get(path), default)

    def number(self, path: str, default: float | None = None) -> float | None:
        """Return a property as a number, `default` when it is absent, None when it is unknown."""
        return as_number(self.get(path), default)

    def flag(self, path: str, *, default: bool = False) -> bool | None:
        """Return a property as a truth, `default` when it is absent, None when it is unknown."""
        return as_flag(self.get(path), default=default)

    def items(self, path: str) -> list[Value]:
        """Return a property as a list: empty when absent or unknown, a single value alone."""
        return as_list(self.get(path))

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Return what the properties refer to, each once."""
        return tuple(dict.fromkeys(references_in(self.properties)))


class Output(msgspec.Struct, frozen=True):
    """What a stack tells after it was deployed, and the name it exports it as, if any."""

    name: str
    value: Value
    export: Value = None


class Stack(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A stack. `id` is unique in the assembly; `name` is unique in its region only.

    `file` is its template, for other programs to read; None when it never was on a disk.
    """

    id: str
    name: str
    region: str | None
    account: str | None
    dependencies: tuple[str, ...]
    resources: dict[str, Resource]
    outputs: dict[str, Output]
    parent: str | None = None
    file: Path | None = None

    def path(self, logical_id: str) -> str:
        """Return the path of a resource, of one too that a false condition keeps out."""
        resource = self.resources.get(logical_id)
        return resource.path if resource else f"{self.id}/{logical_id}"


class Model:
    """All stacks of an assembly."""

    def __init__(self, stacks: Sequence[Stack]) -> None:
        """Index `stacks`."""
        self.stacks: Final = tuple(stacks)
        self._stacks: Final = {stack.id: stack for stack in stacks}

    def stack(self, stack_id: str) -> Stack | None:
        """Return the stack with that id."""
        return self._stacks.get(stack_id)

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """Return all resources, stack by stack."""
        return tuple(item for stack in self.stacks for item in stack.resources.values())

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Return the regions that are named, in the order of their stacks."""
        return tuple(dict.fromkeys(stack.region for stack in self.stacks if stack.region))

    def resources_of(self, *types: str) -> tuple[Resource, ...]:
        """Return the resources of one or more types, in the order of their stacks."""
        if len(types) == 1:
            return tuple(self._by_type.get(types[0], ()))
        return tuple(item for item in self.resources if item.type in types)

    def resource(self, reference: Value) -> Resource | None:
        """Follow a reference; None for any other value and for what was dropped by a condition."""
        if not isinstance(reference, Reference):
            return None
        stack = self._stacks.get(reference.stack)
        return stack.resources.get(reference.logical_id) if stack else None

    def referred_by(self, value: Value) -> Iterator[Resource]:
        """Give each resource that `value` refers to, anywhere in it."""
        for reference in dict.fromkeys(references_in(value)):
            resource = self.resource(reference)
            if resource is not None:
                yield resource

    def referrers(self, resource: Resource, *types: str) -> tuple[Resource, ...]:
        """Return who refers to `resource` in any stack, of `types` only when some are given."""
        found = self._referrers.get((resource.stack, resource.logical_id), ())
        return tuple(item for item in found if not types or item.type in types)

    def find(self, value: Value, *types: str, region: str | None = None) -> Resource | None:
        """Return the resource of one of `types` that `value` means: a reference, a name or an ARN.

        Without cross-region references a name is the only bridge, so names count as much as
        references. With `region`, only resources of that region are looked at.
        """
        if isinstance(value, Reference):
            resource = self.resource(value)
            return resource if resource is not None and resource.type in types else None
        for resource in self.resources_of(*types):
            is_elsewhere = region is not None and resource.region != region
            if not is_elsewhere and _means(value, resource):
                return resource
        # An ARN that is made of a reference: "${Bucket.Arn}/*", "arn:...:${Cluster}/${Service}".
        candidates = [item for item in self.referred_by(value) if item.type in types]
        return candidates[-1] if candidates else None

    @cached_property
    def _by_type(self) -> dict[str, list[Resource]]:
        by_type = defaultdict(list)
        for resource in self.resources:
            by_type[resource.type].append(resource)
        return by_type

    @cached_property
    def _referrers(self) -> dict[tuple[str, str], list[Resource]]:
        referrers = defaultdict(list)
        for resource in self.resources:
            for target in dict.fromkeys((r.stack, r.logical_id) for r in resource.references):
                referrers[target].append(resource)
        return referrers


def child(value: Value, step: str) -> Value:
    """Return the item of an object or a list; unknown things have unknown items."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list):
        return value[int(step)] if step.isdigit() and int(step) < len(value) else None
    return value if isinstance(value, Unknown | Reference) else None


def as_text(value: Value, default: str | None = None) -> str | None:
    """Return a known scalar as a string, `default` for None."""
    if value is None:
        return default
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def as_number(value: Value, default: float | None = None) -> float | None:
    """Return a known number, which templates also write as a string; `default` for None."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def as_flag(value: Value, *, default: bool = False) -> bool | None:
    """Return a known truth, which templates also write as a string; `default` for None."""
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    return TRUTHS.get(value.lower()) if isinstance(value, str) else None


def as_list(value: Value) -> list[Value]:
    """Return a list, or a single value as one; nothing for None and for what is unknown."""
    if isinstance(value, list):
        return value
    return [] if value is None or isinstance(value, Unknown) else [value]


def arn(value: Value) -> Arn | None:
    """Return the fields of a string that is an ARN, None for any other value."""
    fields = split(value, ":", ARN_FIELDS - 1)
    if len(fields) != ARN_FIELDS or fields[0] != "arn":
        return None
    return Arn(*fields[2:])


def _means(value: Value, resource: Resource) -> bool:
    name = resource.name
    if name is None or isinstance(name, Unknown) or not isinstance(value, str | Text):
        return False
    if isinstance(value, str) and resource.type in LOWER_CASE_TYPES:
        value = value.lower()
    if value == name:
        return True
    named = arn(value)
    if named is None:
        return False
    if (
        isinstance(named.region, str)
        and named.region
        and resource.region not in {None, named.region}
    ):
        return False
    # topic | table/NAME | cluster:NAME | bucket/key
    tails = [named.resource, *split(named.resource, ":"), *split(named.resource, "/")]
    return name in tails

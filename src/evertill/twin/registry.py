"""What becomes of each resource type: it runs, it is enforced, it has no effect, or it is refused.

It is separate because it is the promise that nothing is skipped in silence: a type that is not in
this table stops the twin before anything starts. Every entry says in one sentence what stands for
the resource here, or why nothing has to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Final

import msgspec

from evertill.assembly import Model, Resource
from evertill.twin.errors import TwinError
from evertill.twin.registry_table import ENFORCED, NO_EFFECT, RUN, UNSUPPORTED

# A custom resource that is not in the table is somebody's own code: nobody can tell what it does.
CUSTOM: Final = ("Custom::", "AWS::CloudFormation::CustomResource")
CUSTOM_SENTENCE: Final = "It is code that runs when a stack is deployed, and the twin deploys none."
UNKNOWN_SENTENCE: Final = "Nothing in the twin stands for it."


class Fate(Enum):
    """What becomes of a resource."""

    RUN = "run"
    ENFORCED = "enforced"
    NO_EFFECT = "no effect at run time"
    UNSUPPORTED = "unsupported"


class Verdict(msgspec.Struct, frozen=True):
    """The fate of a type, and the sentence that explains it."""

    fate: Fate
    sentence: str


class Unsupported(TwinError):
    """The templates hold resources that the twin cannot stand for."""

    code = "unsupported"


TABLE: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        kind: Verdict(fate, sentence)
        for fate, group in (
            (Fate.RUN, RUN),
            (Fate.ENFORCED, ENFORCED),
            (Fate.NO_EFFECT, NO_EFFECT),
            (Fate.UNSUPPORTED, UNSUPPORTED),
        )
        for kind, sentence in group.items()
    }
)


def verdict_on(kind: str) -> Verdict:
    """Return what becomes of resources of a type."""
    known = TABLE.get(kind)
    if known is not None:
        return known
    sentence = CUSTOM_SENTENCE if kind.startswith(CUSTOM) else UNKNOWN_SENTENCE
    return Verdict(Fate.UNSUPPORTED, sentence)


def resources_by_fate(model: Model, fate: Fate) -> tuple[Resource, ...]:
    """Return the resources of a fate, in the order of their stacks."""
    return tuple(item for item in model.resources if verdict_on(item.type).fate is fate)


def refuse_unsupported(model: Model, more: Sequence[str] = ()) -> None:
    """Raise Unsupported when `model` holds what the twin cannot stand for, naming each.

    `more` are the complaints of the planners: a supported type used in an unsupported way.
    """
    lines = [*unsupported_lines(model), *more]
    if lines:
        listed = "\n  ".join(lines)
        message = (
            f"The twin cannot stand for these:\n  {listed}\n"
            "Run it without them by --allow-unsupported."
        )
        raise Unsupported(message)


def unsupported_lines(model: Model) -> list[str]:
    """Return one line for each resource that is not represented."""
    return [
        f"{item} ({item.type}): {verdict_on(item.type).sentence}"
        for item in resources_by_fate(model, Fate.UNSUPPORTED)
    ]

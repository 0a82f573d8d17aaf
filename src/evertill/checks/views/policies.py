"""The statements of all IAM policies in a model, in one form.

It is separate because a policy may stand in five kinds of resources, and a rule wants statements.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_list, as_text, child

POLICIES = (
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::RolePolicy",
    "AWS::IAM::UserPolicy",
    "AWS::IAM::GroupPolicy",
)
PRINCIPALS = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")


class Statement(msgspec.Struct, frozen=True):
    """A statement that allows something, with the resource that it stands in."""

    holder: Resource
    actions: tuple[str, ...]
    resources: tuple[Value, ...]


def granted(model: Model) -> Iterator[Statement]:
    """Give every statement that allows."""
    for holder in model.resources_of(*POLICIES):
        yield from _statements(holder, holder.get("PolicyDocument"))
    for holder in model.resources_of(*PRINCIPALS):
        for policy in holder.items("Policies"):
            yield from _statements(holder, child(policy, "PolicyDocument"))


def statements(document: Value) -> list[Value]:
    """Return the statements of a policy document."""
    return as_list(child(document, "Statement"))


def _statements(holder: Resource, document: Value) -> Iterator[Statement]:
    for statement in statements(document):
        if as_text(child(statement, "Effect")) == "Allow":
            actions = [as_text(action) for action in as_list(child(statement, "Action"))]
            yield Statement(
                holder,
                tuple(action.lower() for action in actions if action),
                tuple(as_list(child(statement, "Resource"))),
            )

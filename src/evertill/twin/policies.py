"""IAM's answer to "may this role do that?", from statements as policies write them.

It is separate because it is pure, and because several parts ask: the database's gate, functions,
the AWS API. It covers identity policies: an explicit deny wins, then an allow, and the default is
no. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

Context = Mapping[str, Sequence[str]]
NO_CONTEXT: Final[Context] = {}


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement; `conditions` is operator, key, values."""

    is_allow: bool
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


def allows(
    statements: Iterable[Statement], action: str, resource: str, context: Context = NO_CONTEXT
) -> bool:
    """Tell whether `action` on `resource` is allowed; `context` is what conditions may ask for."""
    applying = [item for item in statements if _applies(item, action, resource, context)]
    return any(item.is_allow for item in applying) and all(item.is_allow for item in applying)


def _applies(statement: Statement, action: str, resource: str, context: Context) -> bool:
    is_action = (
        _matches_any(statement.actions, action.lower(), lower=True)
        if statement.actions
        else not _matches_any(statement.not_actions, action.lower(), lower=True)
    )
    is_resource = (
        _matches_any(statement.resources, resource)
        if statement.resources
        else not _matches_any(statement.not_resources, resource)
    )
    return (
        is_action
        and is_resource
        and all(_holds(*condition, context) for condition in statement.conditions)
    )


def _holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    name, _, base = operator.rpartition(":")
    is_optional = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    found = {known.lower(): values for known, values in context.items()}.get(key.lower())
    if base == "Null":
        return (found is None) == (wanted[0].lower() == "true")
    if not found:
        return is_optional or name == "ForAllValues"
    is_negative, test = _TESTS.get(base, (False, _never))
    if is_negative:
        return not any(test(value, item) for value in found for item in wanted)
    every = all if name == "ForAllValues" else any
    return every(any(test(value, item) for item in wanted) for value in found)


def _never(_: str, __: str) -> bool:
    """Hold for nothing: an operator that is not known must not allow anything."""
    return False


def _equals(value: str, wanted: str) -> bool:
    return value == wanted


def _equals_lower(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _like(value: str, wanted: str) -> bool:
    return _pattern(wanted).fullmatch(value) is not None


_TESTS: Final[Mapping[str, tuple[bool, Callable[[str, str], bool]]]] = {
    "StringEquals": (False, _equals),
    "StringNotEquals": (True, _equals),
    "StringEqualsIgnoreCase": (False, _equals_lower),
    "StringLike": (False, _like),
    "StringNotLike": (True, _like),
    "ArnEquals": (False, _like),
    "ArnLike": (False, _like),
    "ArnNotEquals": (True, _like),
    "ArnNotLike": (True, _like),
    "Bool": (False, _equals_lower),
}


def _matches_any(patterns: Iterable[str], text: str, *, lower: bool = False) -> bool:
    return any(
        _pattern(item.lower() if lower else item).fullmatch(text) is not None for item in patterns
    )


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    escaped = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)

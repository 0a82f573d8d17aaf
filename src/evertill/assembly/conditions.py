"""Conditions: true, false, or not to be known beforehand.

They are separate because they have a logic of their own, with three values: an unknown condition
must neither drop a resource nor promise it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from evertill.assembly.errors import TemplateMalformed
from evertill.assembly.values import Reference, Text, Unknown, Value

FUNCTIONS: Final = ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals", "Condition")

Truth = bool | None


def evaluate(
    expression: object,
    *,
    named: Callable[[str], Truth],
    resolve: Callable[[object], Value],
) -> Truth:
    """Return what a condition comes to, None when it cannot be known.

    `named` answers for another condition of the template, `resolve` for what is compared.
    """
    function, argument = _function(expression)
    if function == "Condition":
        return named(str(argument))
    if not isinstance(argument, list):
        raise TemplateMalformed(f"{function} takes a list.")
    if function == "Fn::Equals":
        return _equal([resolve(side) for side in argument])
    parts = [evaluate(part, named=named, resolve=resolve) for part in argument]
    if function == "Fn::Not":
        return _negated(parts)
    return _all(parts) if function == "Fn::And" else _any(parts)


def _function(expression: object) -> tuple[str, Any]:
    if isinstance(expression, dict) and len(expression) == 1:
        ((name, argument),) = expression.items()
        if name in FUNCTIONS:
            return name, argument
    raise TemplateMalformed("a condition is one of " + ", ".join(FUNCTIONS) + ".")


def _equal(sides: Sequence[Value]) -> Truth:
    if len(sides) != 2:  # noqa: PLR2004 - an equation has two sides
        raise TemplateMalformed("Fn::Equals takes a list of two.")
    left, right = sides
    if isinstance(left, Unknown | Reference | Text) or isinstance(
        right, Unknown | Reference | Text
    ):
        return True if left == right else None
    return str(left) == str(right)


def _negated(parts: Sequence[Truth]) -> Truth:
    if len(parts) != 1:
        raise TemplateMalformed("Fn::Not takes a list of one.")
    return None if parts[0] is None else not parts[0]


def _all(parts: Sequence[Truth]) -> Truth:
    if False in parts:
        return False
    return None if None in parts else True


def _any(parts: Sequence[Truth]) -> Truth:
    if True in parts:
        return True
    return None if None in parts else False

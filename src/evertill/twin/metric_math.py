"""CloudWatch's metric math, as far as alarms use it: arithmetic on time series and a few functions.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html. It is
separate because it is a small language. Its grammar is Python's but for the words of the logical
operators, so Python parses it; only the nodes named here are computed, and an expression with any
other is refused when the alarm is planned, not when it should fire.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from evertill.twin.errors import TwinError

Series = list[float | None]
Values = Mapping[str, Series]

EXPRESSION_LENGTH_MAX: Final = 1_024
# The page gives AND and OR both as words and as signs.
WORDS: Final = (
    (re.compile(r"&&|\bAND\b"), " and "),
    (re.compile(r"\|\||\bOR\b"), " or "),
)
BINARY: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.BitXor: operator.pow,
}
COMPARE: Final[dict[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
UNARY_FUNCTIONS: Final[dict[str, Callable[[float], float]]] = {
    "ABS": abs,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
}
# Over several series: at each moment, of those that have a value.
ACROSS: Final[dict[str, Callable[[list[float]], float]]] = {
    "MAX": max,
    "MIN": min,
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
}
REPEAT: Final = "REPEAT"


class ExpressionUnknown(TwinError):
    """The twin does not compute this expression."""

    code = "expression_unknown"


def parse(expression: str) -> ast.expr:
    """Return the expression, read; raise ExpressionUnknown for what cannot be computed."""
    text = expression
    for pattern, word in WORDS:
        text = pattern.sub(word, text)
    try:
        if len(text) > EXPRESSION_LENGTH_MAX:
            raise ExpressionUnknown(f"The expression is longer than {EXPRESSION_LENGTH_MAX}.")
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ExpressionUnknown(f"The twin cannot read the expression {expression}.") from error
    # Computed once with one point in each series, it shows whether all of it is known.
    compute(tree, {name: [1.0] for name in names(tree)}, 1)
    return tree


def names(tree: ast.expr) -> set[str]:
    """Return the ids of the metrics and expressions that it is made of."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and id(node) not in called and node.id != REPEAT
    }


def compute(  # noqa: PLR0911 - one answer for each kind of node
    tree: ast.expr, values: Values, length: int
) -> Series:
    """Return the expression's value at each of `length` moments, None where it has none."""
    match tree:
        case ast.Constant(value=int() | float() as number):
            return [float(number)] * length
        case ast.Name(id=name) if name in values:
            return list(values[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return [None if v is None else -v for v in compute(operand, values, length)]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _pairs(BINARY[type(op)], left, right, values, length)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARE:
            return _pairs(COMPARE[type(op)], left, right, values, length)
        case ast.BoolOp(op=op, values=parts):
            decide = all if isinstance(op, ast.And) else any
            columns = zip(*(compute(part, values, length) for part in parts), strict=True)
            return [None if None in column else float(decide(column)) for column in columns]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, arguments, values, length)
    raise ExpressionUnknown(f"The twin does not compute {ast.unparse(tree)}.")


def _pairs(
    apply: Callable[[float, float], float],
    left: ast.expr,
    right: ast.expr,
    values: Values,
    length: int,
) -> Series:
    sides = compute(left, values, length), compute(right, values, length)
    return [_both(apply, a, b) for a, b in zip(*sides, strict=True)]


def _call(name: str, arguments: list[ast.expr], values: Values, length: int) -> Series:
    if name == "FILL" and len(arguments) == 2:  # noqa: PLR2004 - FILL(series, how)
        return _fill(compute(arguments[0], values, length), arguments[1], values, length)
    columns = [compute(argument, values, length) for argument in arguments]
    rows: list[tuple[Any, ...]] = list(zip(*columns, strict=True))
    match name, len(columns):
        case "IF", 2:
            return [then if condition else None for condition, then in rows]
        case "IF", 3:
            return [
                None if condition is None else (then if condition else other)
                for condition, then, other in rows
            ]
        case _, 1 if name in UNARY_FUNCTIONS:
            return [None if v is None else UNARY_FUNCTIONS[name](v) for (v,) in rows]
        case _, count if name in ACROSS and count:
            found = [[v for v in row if v is not None] for row in rows]
            return [ACROSS[name](row) if row else None for row in found]
    raise ExpressionUnknown(f"The twin does not compute {name} of {len(columns)} arguments.")


def _fill(series: Series, how: ast.expr, values: Values, length: int) -> Series:
    if isinstance(how, ast.Name) and how.id == REPEAT:
        last: float | None = None
        filled: Series = []
        for value in series:
            last = last if value is None else value
            filled.append(last)
        return filled
    with_ = compute(how, values, length)
    return [b if a is None else a for a, b in zip(series, with_, strict=True)]


def _both(apply: Callable[[float, float], float], a: float | None, b: float | None) -> float | None:
    """Return a result where both sides have a value; a division by zero has none."""
    if a is None or b is None:
        return None
    try:
        result = apply(a, b)
    except (ZeroDivisionError, OverflowError):
        return None
    return float(result) if not isinstance(result, complex) else None

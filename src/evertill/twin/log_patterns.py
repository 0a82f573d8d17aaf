"""The patterns of CloudWatch Logs' metric filters, read once and matched against lines. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html. It is separate
because it is a small language: fields of JSON compared and joined, or terms that a line must hold.
Everything else (regular expressions, columns, parentheses) is refused when it is planned.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from evertill.twin.errors import TwinError

PATTERN_LENGTH_MAX: Final = 1_024
COMPARISON: Final = re.compile(
    r"\s*\$\.([A-Za-z0-9_.\-]+)\s*(!=|<=|>=|=|<|>)\s*(?:\"([^\"]*)\"|([^\s\"()&|]+))\s*"
)
TERM: Final = re.compile(r"([-?]?)(?:\"([^\"]+)\"|([^\s\"{}\[\]()]+))(?:\s+|$)")
NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
ORDERS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}

Fields = dict[str, Any]
Matcher = Callable[[str, Fields | None], bool]


class PatternUnknown(TwinError):
    """The twin cannot read the pattern of a metric filter."""

    code = "pattern_unknown"


def parse(pattern: str) -> Matcher:
    """Return what tells whether a line matches; raise PatternUnknown."""
    text = pattern.strip()
    if len(text) > PATTERN_LENGTH_MAX:
        raise PatternUnknown(f"A pattern is longer than {PATTERN_LENGTH_MAX}.")
    if text.startswith("{") and text.endswith("}"):
        return _of_fields(text[1:-1], pattern)
    return _of_terms(text, pattern)


def fields_of(line: str) -> Fields | None:
    """Return the fields of a line that is a JSON object, None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def field(fields: Fields, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the field at `a.b`, None when there is none such."""
    value: Any = fields
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _of_fields(text: str, pattern: str) -> Matcher:
    for word, decide in (("||", any), ("&&", all)):
        if word in text:
            parts = [_of_fields(part, pattern) for part in text.split(word)]
            return lambda line, fields: decide(part(line, fields) for part in parts)
    found = COMPARISON.fullmatch(text)
    if found is None:
        raise PatternUnknown(f"The twin cannot read the pattern {pattern}")
    path, sign, quoted, plain = found.groups()
    if quoted is None and NUMBER.fullmatch(plain):
        compare = _compare_number(sign, float(plain))
    elif sign in {"=", "!="}:
        compare = _compare_text(sign, plain if quoted is None else quoted)
    else:
        raise PatternUnknown(f"The twin cannot read the pattern {pattern}")
    return lambda _, fields: fields is not None and compare(field(fields, path))


def _compare_number(sign: str, number: float) -> Callable[[Any], bool]:
    def compare(value: object) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and ORDERS[sign](float(value), number)  # type: ignore[arg-type]  # just told

    return compare


def _compare_text(sign: str, text: str) -> Callable[[Any], bool]:
    # `*` stands for any text, and nothing else is special.
    form = re.sub(r"[\[?]", lambda found: f"[{found[0]}]", text)

    def compare(value: object) -> bool:
        if value is None:
            return False
        told = str(value).lower() if isinstance(value, bool) else str(value)
        return fnmatchcase(told, form) is (sign == "=")

    return compare


def _of_terms(text: str, pattern: str) -> Matcher:
    needed: list[str] = []
    forbidden: list[str] = []
    optional: list[str] = []
    position = 0
    while position < len(text):
        found = TERM.match(text, position)
        if found is None:
            raise PatternUnknown(f"The twin cannot read the pattern {pattern}")
        position = found.end()
        group = {"": needed, "-": forbidden, "?": optional}[found[1]]
        group.append(found[2] or found[3])

    def matches(line: str, _: Fields | None) -> bool:
        if any(term in line for term in forbidden) or not all(term in line for term in needed):
            return False
        return not optional or bool(needed) or any(term in line for term in optional)

    return matches

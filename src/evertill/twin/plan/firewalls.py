"""The limits on rates of a web ACL, as each node of the load balancer behind it keeps them.

It is separate because a firewall is a resource of its own, and because only this part of one is
kept here: how many requests an address, or a value of a header, may make in a window. Every other
rule filters nothing, and a limit whose scope uses what is not known here is not kept.
https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-rate-based.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_list, as_number, as_text, child

ACL: Final = "AWS::WAFv2::WebACL"
ASSOCIATION: Final = "AWS::WAFv2::WebACLAssociation"
WINDOW_S: Final = 300.0
FORBIDDEN: Final = 403
CONTENT_TYPES: Final[Mapping[str, str]] = {
    "APPLICATION_JSON": "application/json",
    "TEXT_HTML": "text/html",
    "TEXT_PLAIN": "text/plain",
}
How = Literal["str", "beg", "end", "sub", "eq", "ne", "le", "lt", "ge", "gt"]
POSITIONS: Final[Mapping[str, How]] = {
    "EXACTLY": "str",
    "STARTS_WITH": "beg",
    "ENDS_WITH": "end",
    "CONTAINS": "sub",
}
COMPARISONS: Final[Mapping[str, How]] = {
    "EQ": "eq", "NE": "ne", "LE": "le", "LT": "lt", "GE": "ge", "GT": "gt",
}  # fmt: skip


class Match(NamedTuple):
    """What a part of the request must be: a text, or a size where `how` compares numbers.

    The part is a header, or the path when that is empty.
    """

    header: str
    how: How
    wanted: str
    is_lowered: bool = False


class Not(NamedTuple):
    """Holds when the other does not."""

    test: Test


class Every(NamedTuple):
    """Holds when all of them do."""

    tests: tuple[Test, ...]


class Some(NamedTuple):
    """Holds when one of them does."""

    tests: tuple[Test, ...]


Test = Match | Not | Every | Some


class RateLimit(NamedTuple):
    """So many requests in a window of each address, or of each value of `header`.

    Those in the `scope` are counted; what is over the limit gets the answer.
    """

    name: str
    count_max: int
    window_s: float
    header: str = ""
    scope: Test | None = None
    status: int = FORBIDDEN
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = ""
    body: str = ""


class _Unknown(Exception):
    """A statement uses what is not known here."""


def limits_of(model: Model, balancer: Resource) -> tuple[RateLimit, ...]:
    """Return the limits of the web ACL that stands before a load balancer, in their order."""
    for association in model.referrers(balancer, ASSOCIATION):
        acl = model.find(association.get("WebACLArn"), ACL, region=balancer.region)
        if acl is not None:
            return tuple(_limits(acl))
    return ()


def _limits(acl: Resource) -> Iterator[RateLimit]:
    bodies = acl.get("CustomResponseBodies")
    for rule in sorted(acl.items("Rules"), key=_priority):
        rate = _at(rule, "Statement", "RateBasedStatement")
        block = _at(rule, "Action", "Block")
        if rate is None or block is None:
            continue
        try:
            yield _limit(rule, rate, block, bodies)
        except _Unknown:
            continue


def _priority(rule: Value) -> float:
    return as_number(child(rule, "Priority")) or 0


def _limit(rule: Value, rate: Value, block: Value, bodies: Value) -> RateLimit:
    count_max = as_number(child(rate, "Limit"))
    scope = child(rate, "ScopeDownStatement")
    if count_max is None:
        raise _Unknown
    answer = _at(block, "CustomResponse")
    body = child(bodies, as_text(_at(answer, "CustomResponseBodyKey")) or "")
    return RateLimit(
        name=as_text(child(rule, "Name")) or "",
        count_max=int(count_max),
        window_s=as_number(child(rate, "EvaluationWindowSec"), WINDOW_S) or WINDOW_S,
        header=_key(rate),
        scope=None if scope is None else _test(scope),
        status=int(as_number(_at(answer, "ResponseCode"), FORBIDDEN) or FORBIDDEN),
        headers=tuple(_headers(_at(answer, "ResponseHeaders"))),
        content_type=CONTENT_TYPES.get(as_text(child(body, "ContentType")) or "", ""),
        body=as_text(child(body, "Content")) or "",
    )


def _headers(value: Value) -> Iterator[tuple[str, str]]:
    for item in as_list(value):
        name, text = as_text(child(item, "Name")), as_text(child(item, "Value"))
        if name and text is not None:
            yield name, text


def _key(rate: Value) -> str:
    """Return the header that requests are counted by, empty for their address."""
    if as_text(child(rate, "AggregateKeyType"), "IP") == "IP":
        return ""
    keys = as_list(child(rate, "CustomKeys"))
    header = as_text(_at(keys[0], "Header", "Name")) if len(keys) == 1 else None
    if not header:
        raise _Unknown
    return header


def _test(statement: Value) -> Test:
    match next(iter(statement.items()), None) if isinstance(statement, dict) else None:
        case "NotStatement", inner:
            return Not(_test(child(inner, "Statement")))
        case "AndStatement", inner:
            return Every(tuple(map(_test, as_list(child(inner, "Statements")))))
        case "OrStatement", inner:
            return Some(tuple(map(_test, as_list(child(inner, "Statements")))))
        case "ByteMatchStatement", inner:
            how = POSITIONS.get(as_text(child(inner, "PositionalConstraint")) or "")
            return _match(inner, how, as_text(child(inner, "SearchString")))
        case "SizeConstraintStatement", inner:
            how = COMPARISONS.get(as_text(child(inner, "ComparisonOperator")) or "")
            return _match(inner, how, as_text(child(inner, "Size")))
    raise _Unknown


def _match(statement: Value, how: How | None, wanted: str | None) -> Match:
    field = child(statement, "FieldToMatch")
    header = as_text(_at(field, "SingleHeader", "Name"))
    done = as_list(child(statement, "TextTransformations"))
    changes = {as_text(child(item, "Type")) for item in done}
    is_path = isinstance(field, dict) and "UriPath" in field
    if how is None or wanted is None or not (header or is_path) or changes - {"NONE", "LOWERCASE"}:
        raise _Unknown
    return Match(header or "", how, wanted, "LOWERCASE" in changes)


def _at(value: Value, *steps: str) -> Value:
    for step in steps:
        value = child(value, step)
    return value

"""IAM's rules for identity policies, case by case."""

from __future__ import annotations

import pytest

from evertill.twin.policies import Statement, allows

CONNECT = "rds-db:connect"
USER = "arn:aws:rds-db:us-east-1:123456789012:dbuser:cluster-A/app"


def allow(*resources: str, action: str = CONNECT) -> Statement:
    return Statement(is_allow=True, actions=(action,), resources=resources)


def test_nothing_is_allowed_by_default() -> None:
    assert not allows([], CONNECT, USER)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (USER, True),
        ("*", True),
        ("arn:aws:rds-db:*:123456789012:dbuser:*/app", True),
        ("arn:aws:rds-db:us-east-1:123456789012:dbuser:cluster-A/ap?", True),
        ("arn:aws:rds-db:us-east-1:123456789012:dbuser:cluster-A/App", False),
        ("arn:aws:rds-db:us-east-2:123456789012:dbuser:cluster-A/app", False),
        ("arn:aws:rds-db:us-east-1:123456789012:dbuser:cluster-A/app.", False),
    ],
)
def test_a_resource_matches_by_its_wildcards_only(resource: str, *, expected: bool) -> None:
    assert expected == allows([allow(resource)], CONNECT, USER)


@pytest.mark.parametrize("action", ["rds-db:*", "*", "RDS-DB:Connect", "rds-db:conn?ct"])
def test_actions_match_in_any_case(action: str) -> None:
    assert allows([allow("*", action=action)], CONNECT, USER)


def test_a_deny_wins_over_any_allow() -> None:
    deny = Statement(is_allow=False, actions=("rds-db:*",), resources=("*",))
    assert not allows([allow("*"), deny], CONNECT, USER)
    elsewhere = Statement(is_allow=False, not_actions=("rds-db:*",), resources=("*",))
    assert allows([allow("*"), elsewhere], CONNECT, USER)
    others = Statement(is_allow=False, actions=("*",), not_resources=(USER,))
    assert allows([allow("*"), others], CONNECT, USER)
    assert not allows([allow("*"), others], CONNECT, USER + "2")


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "expected"),
    [
        ("StringEquals", "a", ("a",), True),
        ("StringEquals", "a", ("b",), False),
        ("StringEquals", "a", (), False),
        ("StringEqualsIfExists", "a", (), True),
        ("StringNotEquals", "a", ("b",), True),
        ("StringNotEquals", "a", ("a",), False),
        ("StringLike", "a*", ("abc",), True),
        ("ArnLike", "arn:aws:s3:::*", ("arn:aws:s3:::x",), True),
        ("Bool", "true", ("True",), True),
        ("Null", "true", (), True),
        ("Null", "false", (), False),
        ("ForAnyValue:StringEquals", "a", ("b", "a"), True),
        ("ForAllValues:StringEquals", "a", ("b", "a"), False),
        ("ForAllValues:StringEquals", "a", (), True),
        ("NumericLessThan", "5", ("4",), False),
    ],
)
def test_a_condition_holds_as_documented_and_an_unknown_operator_never(
    operator: str, wanted: str, given: tuple[str, ...], *, expected: bool
) -> None:
    statement = Statement(
        is_allow=True,
        actions=("*",),
        resources=("*",),
        conditions=((operator, "aws:Thing", (wanted,)),),
    )
    context = {"AWS:thing": given} if given else {}
    assert expected == allows([statement], CONNECT, USER, context)

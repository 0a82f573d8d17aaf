"""Rules of composite alarms: who is named, and what decides."""

from __future__ import annotations

import pytest

from evertill.twin.alarming import State
from evertill.twin.composite import RuleUnknown, parse

STATES = {"a": State.ALARM, "b": State.OK, "c": State.INSUFFICIENT_DATA, "arn:aws:x:a": State.ALARM}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('ALARM("a")', True),
        ("ALARM(a)", True),
        ('(ALARM("arn:aws:x:a") AND (NOT (ALARM("b"))))', True),
        ('ALARM("b") OR OK("b")', True),
        ('ALARM("a") AND ALARM("b") OR TRUE', True),
        ('NOT ALARM("a") AND TRUE', False),
        ("INSUFFICIENT_DATA(c)", True),
        ("FALSE", False),
    ],
)
def test_a_rule_decides_by_the_states_of_others(rule: str, *, expected: bool) -> None:
    assert expected is parse(rule)[0](STATES.__getitem__)


def test_the_alarms_of_a_rule_are_named_once() -> None:
    assert ["a", "b"] == parse('ALARM("a") AND (OK("b") OR OK("a"))')[1]


@pytest.mark.parametrize("rule", ["", "ALARM(", 'ALARM("a") ALARM("b")', "MAYBE(a)", "(TRUE", "a"])
def test_a_rule_that_cannot_be_read_is_refused(rule: str) -> None:
    with pytest.raises(RuleUnknown):
        parse(rule)

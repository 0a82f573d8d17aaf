"""Metric filters match lines as CloudWatch Logs' documentation says.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import json

import pytest

from evertill.twin.log_patterns import PatternUnknown, fields_of, parse

WRITES = json.dumps({"message": "This region takes writes.", "status": 503, "a": {"b": "x1"}})
PLAIN = "[ERROR] 419 MissingParameterException"


def matches(pattern: str, line: str) -> bool:
    return parse(pattern)(line, fields_of(line))


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ('{ $.message = "This region takes writes." }', WRITES, True),
        ('{ $.message = "This region takes no writes." }', WRITES, False),
        ('{ $.message != "This region takes no writes." }', WRITES, True),
        ('{ $.message = "*takes writes*" }', WRITES, True),
        ("{ $.status >= 500 && $.status < 600 }", WRITES, True),
        ("{ $.status = 200 || $.a.b = x1 }", WRITES, True),
        ("{ $.missing = 1 }", WRITES, False),
        ("{ $.status = 503 }", PLAIN, False),
        ("", PLAIN, True),
        ("ERROR", PLAIN, True),
        ('ERROR "419 Missing"', PLAIN, True),
        ("ERROR INFO", PLAIN, False),
        ("?ERROR ?INFO", PLAIN, True),
        ("ERROR -419", PLAIN, False),
    ],
)
def test_a_pattern_matches_what_the_documentation_says(
    pattern: str, line: str, *, expected: bool
) -> None:
    assert expected is matches(pattern, line)


@pytest.mark.parametrize("pattern", ["[ip, user]", "{ ($.a = 1) }", "{ $.a = %x% && }", "%x%("])
def test_a_pattern_that_is_not_read_is_refused(pattern: str) -> None:
    with pytest.raises(PatternUnknown):
        parse(pattern)

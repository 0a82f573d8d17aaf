"""Filter patterns match the lines that CloudWatch's documentation says they do."""

from __future__ import annotations

import pytest

from evertill.twin.log_patterns import PatternUnknown, field, fields_of, parse

REQUEST = b'{"message":"request","route":"/v1/payments","status":503,"ms":1.5,"tags":["a","b"]}'
READY = b'{"message":"request","route":"/ready","status":503,"ok":true,"none":null}'
TEXT = b"[ERROR] payment not found: 42"

JSON_CASES = [
    ('{ $.message = "request" }', REQUEST, True),
    ('{ $.message = "req*" }', REQUEST, True),
    ('{ $.message = "reply" }', REQUEST, False),
    ('{ $.message != "reply" }', REQUEST, True),
    ('{ $.absent != "reply" }', REQUEST, False),
    ('{ ($.message = "request") && ($.route != "/ready") }', REQUEST, True),
    ('{ ($.message = "request") && ($.route != "/ready") }', READY, False),
    ('{ ($.message = "request") && ($.route != "/ready") && ($.status >= 500) }', REQUEST, True),
    ("{ $.status = 503 }", REQUEST, True),
    ("{ $.status > 503 }", REQUEST, False),
    ("{ $.status < 600 && $.ms <= 1.5 }", REQUEST, True),
    ('{ $.status = 404 || $.tags[1] = "b" }', REQUEST, True),
    ('{ $.status = 404 || $.status = 503 && $.route = "/x" }', REQUEST, False),
    ("{ $.ok IS TRUE }", READY, True),
    ("{ $.ok IS FALSE }", READY, False),
    ("{ $.none IS NULL }", READY, True),
    ("{ $.absent IS NULL }", READY, False),
    ("{ $.absent NOT EXISTS }", READY, True),
    ("{ $.none NOT EXISTS }", READY, False),
    ("{ $.status = 503 }", TEXT, False),
    ("{ $.status = 503 }", b'["status", 503]', False),
    (
        '{ $.message = "This region takes writes." }',
        b'{"message":"This region takes writes."}',
        True,
    ),
]
TEXT_CASES = [
    ("", TEXT, True),
    ("ERROR", TEXT, True),
    ("ERROR payment", TEXT, True),
    ("ERROR refund", TEXT, False),
    ('"not found"', TEXT, True),
    ("ERROR -payment", TEXT, False),
    ("?refund ?payment", TEXT, True),
    ("?refund ?capture", TEXT, False),
    ('{ $.message = "*quest*" }', REQUEST, True),
    ("{ $.status >= 500 && $.status < 600 }", REQUEST, True),
    ("{ $.missing = 1 || $.route = /v1/payments }", REQUEST, True),
]


@pytest.mark.parametrize(("pattern", "line", "matches"), JSON_CASES + TEXT_CASES)
def test_a_pattern_matches_what_it_says(pattern: str, line: bytes, *, matches: bool) -> None:
    told = line.decode()
    assert matches == parse(pattern)(told, fields_of(told))


@pytest.mark.parametrize(
    "pattern",
    [
        "{ $.a = 1",
        "{ $.a }",
        "{ a = 1 }",
        "{ $.a = 1 } x",
        "{ $.a ~ 1 }",
        "{ $.a = %x% }",
        "[ip, user, status=404]",
        "%ERR%",
        "{ $.a = " + "x" * 2_000 + " }",
    ],
)
def test_what_is_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(PatternUnknown):
        parse(pattern)


def test_a_selector_selects_within_objects_and_lists() -> None:
    assert 3 == field({"a": [1, {"b": 3}]}, "a[1].b")
    assert field({"a": [1]}, "a[5].b") is None

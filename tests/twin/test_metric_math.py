"""Metric math as the documentation describes it; what was never published stays missing."""

from __future__ import annotations

import pytest

from evertill.twin.metric_math import ExpressionUnknown, Series, compute, names, parse

VALUES: dict[str, Series] = {"a": [1.0, None, 0.0], "b": [2.0, 4.0, 0.0], "w": [1.0, 0.0, 1.0]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b", [3.0, None, 0.0]),
        ("-a * 2 ^ 1", [-2.0, None, 0.0]),
        ("100 * a / b", [50.0, None, None]),
        ("IF(w > 0, 100 * a / b, 0)", [50.0, 0.0, None]),
        ("IF(a, 1, 2)", [1.0, None, 2.0]),
        ("FILL(a, 0) + b", [3.0, 4.0, 0.0]),
        ("FILL(a, REPEAT)", [1.0, 1.0, 0.0]),
        ("MAX(a, b)", [2.0, 4.0, 0.0]),
        ("a > 0 AND b > 0", [1.0, None, 0.0]),
        ("b > 3 || w == 1", [1.0, 1.0, 1.0]),
        ("ABS(a - b)", [1.0, None, 0.0]),
    ],
)
def test_an_expression_is_computed_point_by_point(expression: str, expected: Series) -> None:
    assert expected == compute(parse(expression), VALUES, 3)


@pytest.mark.parametrize(
    "expression",
    ["SEARCH('x')", "ANOMALY_DETECTION_BAND(a)", "a.b", "a[0]", "a +", "RATE(a)", "lambda: 1"],
)
def test_an_expression_that_cannot_be_computed_is_refused_when_it_is_read(expression: str) -> None:
    with pytest.raises(ExpressionUnknown):
        parse(expression)


def test_the_metrics_of_an_expression_are_known() -> None:
    assert {"a", "b"} == names(parse("IF(a > 0, FILL(b, REPEAT), 0)"))

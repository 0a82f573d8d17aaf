"""The reference of the rules is what their docstrings say."""

from __future__ import annotations

from pathlib import Path

from evertill.checks.registry import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rules.md"


def test_the_page_of_rules_is_generated_from_them() -> None:
    # To write it anew: python -c "import evertill.checks.registry as r; print(end=r.reference())"
    assert reference() == PAGE.read_text()

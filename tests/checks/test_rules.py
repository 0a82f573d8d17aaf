"""Each rule passes a platform that keeps it, and finds the one thing that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.checks import cases_compute, cases_data, cases_regions, cases_watching
from tests.support.breaking import Case
from tests.support.platform import platform
from tests.support.templates import StackFile, write_assembly

from evertill.assembly import read
from evertill.checks import RULES, Finding, check
from evertill.checks.registry import sentence

CASES = [
    *cases_watching.CASES,
    *cases_compute.CASES,
    *cases_data.CASES,
    *cases_regions.CASES,
]
MODULES = Path(__file__).parents[2] / "src" / "evertill" / "checks" / "rules"


def found_by(rule: str, folder: Path, *stacks: StackFile) -> list[Finding]:
    return check(read(write_assembly(folder, *stacks)), {rule: RULES[rule]})


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_passes_what_keeps_it(rule: str, tmp_path: Path) -> None:
    assert [] == found_by(rule, tmp_path, *platform().values())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_finds_what_breaks_it(case: Case, tmp_path: Path) -> None:
    findings = found_by(case.rule, tmp_path, *case.stacks())
    said = [
        f"{finding.consequence} {finding.fix}"
        for finding in findings
        if finding.resource == case.found
    ]
    assert any(case.words in words for words in said), findings


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_broken_by_some_case(rule: str) -> None:
    assert rule in {case.rule for case in CASES}


def test_every_module_of_a_rule_is_registered() -> None:
    modules = {path.stem for path in MODULES.glob("*.py")} - {"__init__"}
    assert modules == {name.replace("-", "_") for name in RULES}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_one_sentence(rule: str) -> None:
    text = (MODULES / f"{rule.replace('-', '_')}.py").read_text()
    assert text.startswith(f'"""{sentence(rule)}"""\n')
    assert sentence(rule).endswith(".")
    assert ". " not in sentence(rule)

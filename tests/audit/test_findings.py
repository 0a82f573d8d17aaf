"""What linters find is set against what is accepted, and both are counted."""

from __future__ import annotations

from evertill.audit.display import as_json, details, table
from evertill.audit.findings import Acceptance, Finding, sort_out

WIDTH_MAX = 80
BUCKET = Finding("prod", "checkov", "CKV_AWS_18", "data-us-east-1/Logs/Resource", "No logging.")


def accepting(path: str, rule: str = "CKV_AWS_18", stack: str = "data-*") -> Acceptance:
    return Acceptance("checkov", rule, stack, path, "It holds the logs.", rule)


def test_a_finding_that_nobody_accepts_is_open() -> None:
    outcome = sort_out([BUCKET], {"prod": []})
    assert [BUCKET] == outcome.open
    assert not outcome.is_clean


def test_an_accepted_finding_is_counted_apart() -> None:
    outcome = sort_out([BUCKET], {"prod": [accepting("Logs")]})
    assert ([], [BUCKET]) == (outcome.open, outcome.accepted)
    assert outcome.is_clean


def test_an_acceptance_holds_for_its_construct_its_rule_and_its_stack_alone() -> None:
    others = [accepting("Log"), accepting("Logs", "CKV_AWS_21"), accepting("Logs", stack="dns-*")]
    assert [BUCKET] == sort_out([BUCKET], {"prod": others}).open


def test_an_acceptance_holds_in_its_environment_alone() -> None:
    outcome = sort_out([BUCKET], {"prod": [], "dev": [accepting("Logs")]})
    assert [BUCKET] == outcome.open


def test_an_acceptance_without_a_finding_is_not_clean() -> None:
    outcome = sort_out([], {"prod": [accepting("Logs")]})
    assert [accepting("Logs")] == outcome.unneeded
    assert not outcome.is_clean


def test_tools_that_did_not_run_are_not_judged() -> None:
    outcome = sort_out([], {"prod": [accepting("Logs")]})
    assert outcome.without_unneeded_of({"checkov"}).is_clean


def test_the_table_counts_each_tool_in_each_environment_within_eighty_columns() -> None:
    outcome = sort_out([BUCKET], {"prod": [], "dev": []})
    lines = list(table(outcome, ["dev", "prod"]))
    (row,) = [line for line in lines if line.startswith("checkov")]
    assert ["checkov", "0", "0", "1", "0"] == row.split()
    assert max(map(len, lines)) <= WIDTH_MAX


def test_the_details_name_the_rule_and_the_construct() -> None:
    text = "\n".join(details(sort_out([BUCKET], {"prod": []})))
    assert "CKV_AWS_18  data-us-east-1/Logs/Resource" in text


def test_the_json_holds_counts_and_findings() -> None:
    told = as_json(sort_out([BUCKET], {"prod": []}), ["prod"])
    counts = {one["tool"]: one["findings"] for one in told["counts"]}
    assert (1, 0) == (counts["checkov"], counts["cdk-nag"])
    assert "CKV_AWS_18" == told["findings"][0]["rule"]

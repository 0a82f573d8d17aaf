"""Holds IAM policies against parliament and cloudsplaining: JSON in, JSON out.

It is separate because it runs on the Python of `.venv-lint`, where these two are installed and
Evertill is not; so it may import nothing of ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import parliament
from cloudsplaining.scan.policy_document import PolicyDocument

# The kinds of risk that cloudsplaining knows, by the attribute that lists the actions.
RISKS = (
    "allows_data_exfiltration_actions",
    "allows_privilege_escalation",
    "contains_statement_using_not_action",
    "credentials_exposure",
    "permissions_management_without_constraints",
    "service_wildcard",
    "write_actions_without_constraints",
)


def check(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return the tool, the rule and the message of every finding in one policy."""
    for finding in parliament.analyze_policy_string(json.dumps(document)).findings:
        yield "parliament", finding.issue, str(finding.detail or finding.location)
    policy = PolicyDocument(document)
    for risk in RISKS:
        for what in getattr(policy, risk):
            told = what if isinstance(what, str) else json.dumps(what, sort_keys=True)
            yield "cloudsplaining", f"{risk}[{told}]", told


if __name__ == "__main__":
    answer = [
        (number, *finding)
        for number, document in enumerate(json.load(sys.stdin))
        for finding in check(document)
    ]
    json.dump(answer, sys.stdout)

"""Our templates pass the linters; each acknowledgement is narrow, reasoned and still needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.assembly import Assembly

from evertill.audit.accepted import accepted
from evertill.audit.findings import Acceptance
from evertill.infrastructure.acknowledgements import ACKNOWLEDGEMENTS, tool_of
from evertill.infrastructure.settings import read_environment

ROOT = Path(__file__).parents[2]
# cfn-lint alone takes half a minute of a processor, more beside other tests.
TIMEOUT_S = 280
ALL = accepted(read_environment("prod", rehearsal=True))


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S + 20)
def test_cfn_lint_and_cdk_nag_find_nothing_open_and_need_every_acknowledgement() -> None:
    # Both look at templates without a single acknowledgement, which are then set against the list.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "evertill.audit", "--quick", "--json", "prod"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert ([], []) == (told["findings"], told["unneeded"])
    assert 0 == done.returncode
    assert any(one["tool"] == "cdk-nag" and one["acknowledged"] for one in told["counts"])


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.listed_as} {one.path}")
def test_an_acceptance_is_narrow_and_gives_its_reason(one: Acceptance) -> None:
    assert one.path
    assert "*" not in one.path
    assert "*" != one.stack
    # Rules about rights name the right; without it they would accept whatever comes later.
    assert one.rule not in {"AwsSolutions-IAM4", "AwsSolutions-IAM5"}
    assert one.reason.endswith((".", ".html"))


def test_whoever_lints_the_templates_finds_the_reasons_in_them(prod: Assembly) -> None:
    told = {
        skip["comment"]
        for stack in prod.stacks()
        for resource in prod.template(stack)["Resources"].values()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    }
    listed = {
        one.reason
        for one in ACKNOWLEDGEMENTS
        if any(tool_of(rule) == "checkov" for rule in one.rules)
    }
    assert listed == told

"""`evertill check` as it is typed: what it prints, and with which status it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.breaking import Case
from tests.support.platform import platform
from tests.support.templates import write_assembly

from evertill.checks import RULES

SOURCE = Path(__file__).parents[2] / "src"
BROKEN = Case("", {"active/Database.DeletionPolicy": "Delete"}, "Database", "")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evertill.cli", "check", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )


def test_what_is_in_order_exits_with_0(tmp_path: Path) -> None:
    done = run(write_assembly(tmp_path, *platform().values()))
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith(f"No findings: {len(RULES)} rules over ")


def test_findings_exit_with_1_and_are_readable_in_80_columns(tmp_path: Path) -> None:
    done = run(write_assembly(tmp_path, *BROKEN.stacks()))
    lines = done.stdout.splitlines()
    assert (1, "") == (done.returncode, done.stderr)
    assert max(map(len, lines)) <= 80
    assert [
        "active (us-east-1)",
        "Database  AWS::RDS::DBCluster",
        "  money-data-is-kept",
        "    Its data is destroyed with its stack.",
        "    Fix: Set DeletionPolicy to Retain.",
    ] == lines[:5]
    assert lines[-1].startswith("1 finding: ")


def test_json_has_the_same_findings(tmp_path: Path) -> None:
    folder = write_assembly(tmp_path, *BROKEN.stacks())
    done = run(folder, "--json")
    assert 1 == done.returncode
    assert {
        "findings": [
            {
                "rule": "money-data-is-kept",
                "resource": "Database",
                "stack": "active",
                "consequence": "Its data is destroyed with its stack.",
                "fix": "Set DeletionPolicy to Retain.",
            }
        ]
    } == json.loads(done.stdout)


def test_json_without_findings_is_an_empty_list(tmp_path: Path) -> None:
    done = run(write_assembly(tmp_path, *platform().values()), "--json")
    assert (0, {"findings": []}) == (done.returncode, json.loads(done.stdout))


def test_what_cannot_be_used_is_one_sentence_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "broken.template.json").write_text("{")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "broken.template.json"):
        done = run(path)
        assert (2, "") == (done.returncode, done.stdout)
        (complaint,) = done.stderr.splitlines()
        assert complaint.startswith("evertill: ")


def test_the_rules_are_listed_with_their_sentences() -> None:
    done = run("--rules")
    assert 0 == done.returncode
    assert set(RULES) <= set(done.stdout.splitlines())


def test_checking_needs_no_database_driver(tmp_path: Path) -> None:
    folder = write_assembly(tmp_path, *platform().values())
    program = (
        "import sys; from evertill.cli import main; main(['check', sys.argv[1]])\n"
        "print(sorted({'psycopg', 'httpx', 'uvloop'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, folder],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert "[]" == done.stdout.splitlines()[-1]


def test_a_name_is_printed_whole_so_that_it_can_be_copied(tmp_path: Path) -> None:
    name = "payments-of-a-merchant-in-" + "-".join(["some", "region"] * 8)
    stacks = platform()
    stacks["active"].resources["LagAlarm"]["Properties"]["Dimensions"][0]["Value"] = name
    done = run(write_assembly(tmp_path, *stacks.values()))
    assert any(name in line for line in done.stdout.splitlines())

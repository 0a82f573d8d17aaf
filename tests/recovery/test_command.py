"""The command line refuses in a sentence what cannot be, and waits for nobody who is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evertill.cli import main

NOBODY = ("--endpoint=us-east-1=http://127.0.0.1:9", "--endpoint=us-east-2=http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ENDPOINTS", "AUTHORITIES", "API_KEY"):
        monkeypatch.delenv(f"EVERTILL_RECOVERY_{name}", raising=False)
    monkeypatch.delenv("EVERTILL_TIME_SCALE", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "--environment=staging"), "The environment staging cannot be read"),
        (("status", "--endpoint=us-east-1"), "is no REGION=URL of us-east-1 and us-east-2"),
        (("status", "--endpoint=eu-west-1=http://x"), "is no REGION=URL"),
        (("status", NOBODY[0]), "Name an endpoint for us-east-2 too"),
        (("plan", "switchover", "--to=eu-west-1", *NOBODY), "eu-west-1 is no region"),
        (("guard", "set", "--limit-s=5", *NOBODY), "Aurora takes a limit of 20 s or more"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert 2 == main(["recovery", *arguments])
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_time_runs_faster_in_simulations_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERTILL_TIME_SCALE", "10")
    assert 2 == main(["recovery", "status"])
    assert "where AWS itself answers it must be 1" in capsys.readouterr().err


def test_a_world_in_which_nobody_answers_is_shown_as_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 1 == main(["recovery", "status", "--json", *NOBODY])
    told = json.loads(capsys.readouterr().out)
    assert {"us-east-1": "lost", "us-east-2": "lost"} == told["roles"]
    assert not told["is_well"]
    assert 1 == main(["recovery", "status", *NOBODY])
    assert "us-east-1 does not answer" in capsys.readouterr().out


def test_a_change_that_cannot_begin_is_refused_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["recovery", "run", "failover", "--to=us-east-2", "--confirm=yes", *NOBODY]
    assert 1 == main(arguments)
    assert "RDS does not tell of the global database" in capsys.readouterr().err
    assert [] == list((tmp_path / ".evertill" / "recovery").glob("*/*"))


def test_a_guard_without_anybody_to_set_it_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 1 == main(["recovery", "guard", "lift", "--confirm=x", *NOBODY])
    assert "No region tells which one writes" in capsys.readouterr().err

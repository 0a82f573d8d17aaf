"""The command as an operator runs it: a proposal, an approval, a signed report; and killed."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from tests.recovery.books import Side, broken_histories, failed_over, sources
from tests.recovery.conftest import REGION
from tests.storage.parts import balance, merchant_with
from tests.support.aws import Aws
from tests.support.postgres import ROOT, Database, Server
from tests.support.service import wait_until

from evertill.domain import ids
from evertill.domain.outbox import OutboxEvent
from evertill.domain.rules import Merchant
from evertill.journal.records import Chain, Draft
from evertill.journal.stores import FolderStore
from evertill.recovery.reconciliation.reconciling import look

TIMEOUT_S = 60.0
EVENTS = "SELECT merchant_id, event_id, payment_id, type, created_at, answer FROM events"
STEPS = "SELECT count(*) FROM reconciliations"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def merchant(database: Database) -> Merchant:
    return merchant_with(database)


@pytest.fixture
def old(database: Database, merchant: Merchant) -> Side:
    side = Side(database)
    side.take(merchant, 500)
    return side


@pytest.fixture
def new(old: Side, postgres: Server) -> Iterator[Side]:
    with failed_over(postgres, old.database) as side:
        yield side


@pytest.fixture
def environment(aws: Aws, lease_table: str) -> dict[str, str]:
    assert lease_table
    return os.environ | {
        "PYTHONPATH": str(ROOT / "src"),
        "EVERTILL_RECOVERY_ENDPOINTS": f"us-east-1={aws.url} {REGION}={aws.url}",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "reconciliation"


@pytest.fixture
def command(old: Side, new: Side, folder: Path, signing_key: str) -> list[str]:
    line = [sys.executable, "-m", "evertill.cli", "recovery", "reconcile"]
    line += ["--old", old.database.admin_url, "--new", new.database.admin_url]
    return [*line, "--output", str(folder), "--sign-with", signing_key]


@pytest.fixture
def run(command: list[str], environment: dict[str, str]) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    return run


def proposal_in(folder: Path) -> Path:
    return max(folder.glob("proposal-*.json"))


def decide(path: Path, choice: str) -> None:
    """Edit a proposal as a person would: decide whatever is left to a person."""
    proposal = json.loads(path.read_text())
    for item in proposal["items"]:
        item["decision"] = item["decision"] or choice
    path.write_text(json.dumps(proposal))


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_a_proposal_is_written_and_changes_nothing(
    old: Side, new: Side, merchant: Merchant, run: Run, folder: Path
) -> None:
    lost = old.take(merchant, 900)
    done = run()
    assert (1, "") == (done.returncode, done.stderr)
    assert "1 unexplained" in done.stdout
    (item,) = json.loads(proposal_in(folder).read_text())["items"]
    assert (lost, "replay", "only_old") == (item["subject"], item["decision"], item["sort"])
    assert [(0,)] == new.database.rows(STEPS)
    assert not (folder / "report.sig.json").exists()


def test_what_is_approved_is_done_and_the_report_is_signed(  # noqa: PLR0917 - a fixture each
    old: Side, new: Side, merchant: Merchant, run: Run, folder: Path, aws: Aws, signing_key: str
) -> None:
    old.take(merchant, 900)
    run()
    done = run("--approve", str(proposal_in(folder)), "--by", "Ada")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert balance(old.database, merchant) == balance(new.database, merchant)
    assert "Nothing is unexplained." in done.stdout
    assert "Ada" in (folder / "report.md").read_text()
    content = (folder / "report.json").read_bytes()
    signature = json.loads((folder / "report.sig.json").read_text())
    public = load_der_public_key(base64.b64decode(signature["public_key"]))
    assert isinstance(public, EllipticCurvePublicKey)
    public.verify(base64.b64decode(signature["signature"]), content, ECDSA(hashes.SHA256()))
    text = (folder / "report.md").read_bytes()
    assert sha256(text).hexdigest() == report_of(folder)["markdown_sha256"]
    assert 0 == verify(folder, aws, signing_key).returncode
    (folder / "report.md").write_bytes(text.replace(b"Ada", b"Eve"))
    assert 1 == verify(folder, aws, signing_key).returncode


def verify(folder: Path, aws: Aws, key: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "evertill.cli", "recovery", "verify-report", str(folder)]
    line += ["--sign-with", key, "--region", REGION]
    for region in ("us-east-1", REGION):
        line += ["--endpoint", f"{region}={aws.url}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        line, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_a_region_without_the_lease_settles_nothing(
    old: Side, new: Side, merchant: Merchant, run: Run, folder: Path
) -> None:
    old.take(merchant, 900)
    run()
    new.database.rows("SELECT raise_epoch(2, 'us-east-2')")
    done = run("--approve", str(proposal_in(folder)), "--by", "Ada")
    assert 1 == done.returncode
    assert "not written in epoch 1" in done.stderr
    assert [(0,)] == new.database.rows(STEPS)


def has_done(side: Side, steps: int) -> bool:
    return bool(side.database.rows(STEPS)[0][0] >= steps)


def test_killed_at_any_moment_it_goes_on_and_does_everything_once(  # noqa: PLR0917 - a fixture each
    old: Side,
    new: Side,
    merchant: Merchant,
    run: Run,
    folder: Path,
    command: list[str],
    environment: dict[str, str],
) -> None:
    for number in range(12):
        lost = old.take(merchant, 900 + number, capture=False)
        old.capture(merchant, lost, 500)
        old.refund(merchant, lost, 100)
    run()
    approval = ["--approve", str(proposal_in(folder)), "--by", "Ada"]
    for steps in (1, 9, 17, 26):
        process = subprocess.Popen(
            [*command, *approval], env=environment, stdout=subprocess.DEVNULL
        )
        wait_until(partial(has_done, new, steps), TIMEOUT_S)
        process.kill()
        process.wait()
    assert 0 == run(*approval).returncode
    assert [(36,)] == new.database.rows(STEPS)
    assert balance(old.database, merchant) == balance(new.database, merchant)
    assert [] == broken_histories(new.database)


def test_an_event_in_the_log_that_no_database_knows_is_a_phantom(
    old: Side, merchant: Merchant, run: Run, folder: Path, tmp_path: Path
) -> None:
    old.take(merchant, 900)
    store = FolderStore(tmp_path / "log")
    known = [event(row) for row in old.database.rows(EVENTS)]
    unknown = known[0]._replace(event_id=ids.new_id(), payment_id=ids.new_id())
    draft = Draft(Chain("us-east-1", ids.new_id().hex(), None))
    draft.add([*known, unknown])
    sealed = draft.seal(datetime.now(UTC))
    store.put(sealed.key, sealed.pack())
    log = ["--log", f"us-east-1={tmp_path / 'log'}"]
    assert 1 == run(*log).returncode
    phantom = next(item for item in report_of(folder)["open"] if item["sort"] == "phantom_event")
    assert ids.write_id(ids.EVENT, unknown.event_id) == phantom["subject"]
    assert ["adopt"] == phantom["choices"]
    decide(proposal_in(folder), "adopt")
    done = run(*log, "--approve", str(proposal_in(folder)), "--by", "Ada")
    assert 0 == done.returncode, done.stdout + done.stderr


def test_an_event_that_a_receiver_was_told_of_and_no_database_knows_is_a_phantom(
    old: Side, new: Side, merchant: Merchant, tmp_path: Path
) -> None:
    old.take(merchant, 900)
    told = [ids.write_id(ids.EVENT, row[1].bytes) for row in old.database.rows(EVENTS)]
    unknown = ids.write_id(ids.EVENT, ids.new_id())
    delivered = tmp_path / "delivered"
    delivered.write_text("\n".join([*told, json.dumps({"id": unknown})]))
    findings = look(sources(old.database, new, delivered=delivered))
    assert [unknown] == [item.subject for item in findings.open if item.kind == "event"]


def event(row: tuple[Any, ...]) -> OutboxEvent:
    return OutboxEvent(row[0], row[1].bytes, row[2].bytes, *row[3:])


def test_a_decision_that_is_no_choice_is_refused(
    old: Side, merchant: Merchant, run: Run, folder: Path
) -> None:
    old.take(merchant, 900)
    run()
    path = proposal_in(folder)
    path.write_text(path.read_text().replace('"decision": "replay"', '"decision": "compensate"'))
    done = run("--approve", str(path), "--by", "Ada")
    assert (2, True) == (done.returncode, "cannot be decided as compensate" in done.stderr)

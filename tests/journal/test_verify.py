"""A log verifies as it was written, and any change of it is found where it is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.journal.parts import rewrite

from evertill import cli
from evertill.domain import ids
from evertill.domain.outbox import Head, OutboxEvent
from evertill.journal.export import export
from evertill.journal.records import Chain, Draft, Sealed
from evertill.journal.stores import FolderStore
from evertill.journal.verify import verify

NOW = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)


def event(at: datetime = NOW, **data: object) -> OutboxEvent:
    """Make an event of a payment."""
    answer = {"id": "pay_1", "amount": 1099, "currency": "USD", "status": "captured"} | data
    return OutboxEvent(7, ids.new_id(), ids.new_id(), "payment.captured", at, json.dumps(answer))


def write(store: FolderStore, chain: Chain, *events: OutboxEvent, at: datetime = NOW) -> Head:
    """Append one object to a chain."""
    draft = Draft(chain)
    draft.add(events or [event(), event()])
    sealed: Sealed = draft.seal(at)
    store.put(sealed.key, sealed.pack())
    return sealed.head


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Give a log of two chains with three objects each."""
    store = FolderStore(tmp_path)
    head = None
    for _ in range(2):
        chain = Chain("us-east-1", ids.new_id().hex(), head)
        for _ in range(3):
            head = write(store, chain)
    return store


def paths(folder: Path) -> list[Path]:
    """Return the objects' files in the order of the log."""
    return sorted(folder.rglob("*.gz"), key=lambda path: path.name)


def test_a_log_that_nobody_touched_is_whole(store: FolderStore) -> None:
    report = verify(store)
    assert (2, 6, 12, []) == (report.chains, report.objects, report.records, report.breaks)


def change_amount(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b"1099", b"1098")]


def change_earlier_amount(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"1099", b"1098"), lines[2]]


def drop_record(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def swap_records(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1]]


def forge_manifest(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"sequence":1', b'"sequence":2'), *lines[1:]]


@pytest.mark.parametrize(
    "change", [change_amount, change_earlier_amount, drop_record, swap_records, forge_manifest]
)
def test_a_changed_object_is_named(
    store: FolderStore, tmp_path: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    victim = paths(tmp_path)[1]
    rewrite(victim, change)
    report = verify(store)
    assert not report.whole
    assert victim.relative_to(tmp_path).as_posix() == report.breaks[0].key


def test_an_object_cut_short_is_named(store: FolderStore, tmp_path: Path) -> None:
    victim = paths(tmp_path)[4]
    victim.write_bytes(victim.read_bytes()[:-20])
    assert victim.name in verify(store).breaks[0].key


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_a_deleted_object_is_missed_unless_it_is_the_newest(
    store: FolderStore, tmp_path: Path, number: int
) -> None:
    paths(tmp_path)[number].unlink()
    assert not verify(store).whole


def test_a_deleted_chain_is_missed_by_the_one_that_follows_it(
    store: FolderStore, tmp_path: Path
) -> None:
    for path in paths(tmp_path)[:3]:
        path.unlink()
    [found] = verify(store).breaks
    assert "is missing" in found.reason


def test_a_chain_that_stands_alone_is_no_tail_and_no_head(store: FolderStore) -> None:
    for _ in range(2):
        chain = Chain("us-east-1", ids.new_id().hex(), None, alone=True)
        for _ in range(2):
            write(store, chain)
    report = verify(store)
    assert (4, 2, 2, [], []) == (
        report.chains,
        report.alone,
        len(report.heads),
        report.tails,
        report.breaks,
    )


def test_a_chain_cannot_be_made_alone_afterwards(store: FolderStore, tmp_path: Path) -> None:
    def isolate(lines: list[bytes]) -> list[bytes]:
        return [lines[0].replace(b'"last"', b'"alone":true,"last"'), *lines[1:]]

    victim = paths(tmp_path)[0]
    rewrite(victim, isolate)
    assert victim.relative_to(tmp_path).as_posix() == verify(store).breaks[0].key


def test_what_a_lost_region_wrote_behind_the_failover_is_a_tail_and_no_break(
    tmp_path: Path,
) -> None:
    store = FolderStore(tmp_path)
    lost = Chain("us-east-1", ids.new_id().hex(), None)
    known = write(store, lost)
    write(store, lost)
    write(store, lost)
    survivor = Chain("us-east-2", ids.new_id().hex(), known)
    write(store, survivor)
    report = verify(store)
    assert report.whole
    assert [(lost.chain, 1, 2)] == [(t.chain, t.from_sequence, t.objects) for t in report.tails]


def test_an_export_has_each_event_of_the_time_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    old, now, repeated = event(NOW - timedelta(days=1)), event(reference="=1+1"), event()
    chain = Chain("us-east-1", ids.new_id().hex(), None)
    write(store, chain, old, at=NOW - timedelta(days=1))
    head = write(store, chain, now, repeated)
    write(store, Chain("us-east-1", ids.new_id().hex(), head), repeated)
    target = io.StringIO()
    assert 2 == export(store, target, NOW, NOW + timedelta(hours=1))
    rows = list(csv.DictReader(io.StringIO(target.getvalue())))
    expected = [ids.write_id(ids.EVENT, e.event_id) for e in (now, repeated)]
    assert expected == [row["event_id"] for row in rows]
    assert ("1099", "USD", "'=1+1") == (
        rows[0]["amount_minor"],
        rows[0]["currency"],
        rows[0]["reference"],
    )


@pytest.mark.usefixtures("store")
def test_the_command_tells_a_whole_log_from_a_broken_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == cli.main(["journal", "verify", str(tmp_path)])
    assert "The log is whole: 12 records" in capsys.readouterr().out
    rewrite(paths(tmp_path)[1], drop_record)
    assert 1 == cli.main(["journal", "verify", str(tmp_path), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert not told["whole"]
    assert 2 == told["breaks"][0]["line"]


@pytest.mark.usefixtures("store")
def test_a_broken_log_is_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(paths(tmp_path)[1], drop_record)
    arguments = ["journal", "export", str(tmp_path), "--from", "2026-11-01", "--to", "2026-12-01"]
    assert 1 == cli.main(arguments)
    said = capsys.readouterr()
    assert "" == said.out
    assert "The log is not whole" in said.err


def test_a_folder_that_is_not_there_is_a_mistake_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == cli.main(["journal", "verify", str(tmp_path / "nowhere")])
    assert "There is no folder" in capsys.readouterr().err

"""A log verifies as it was written, and any change of it is found where it is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
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


@pytest.mark.parametrize(
    ("numbers", "said"),
    [([1], "object 1 before it is missing"), ([0, 1], "objects 0 to 1 before it are missing")],
)
def test_a_gap_is_told_once(
    store: FolderStore, tmp_path: Path, numbers: list[int], said: str
) -> None:
    for path in [paths(tmp_path)[number] for number in numbers]:
        path.unlink()
    [found] = verify(store).breaks
    assert said == found.reason


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


def test_order_comes_from_the_links_and_not_from_the_names(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    early, late = ids.new_id().hex(), ids.new_id().hex()
    authorized, repeated, captured = event(), event(), event()
    lost = Chain("us-east-1", late, None)
    known = write(store, lost, authorized)
    write(store, lost, repeated)
    # A host whose clock is behind goes on after one whose clock is ahead.
    write(store, Chain("us-east-1", early, known), repeated, captured)
    report = verify(store)
    assert ([], 1) == (report.breaks, report.repeated)
    assert [late, early] == [head.chain for head in report.heads]
    assert [late] == [tail.chain for tail in report.tails]
    target = io.StringIO()
    assert 3 == export(store, target, NOW, NOW + timedelta(hours=1))
    rows = list(csv.DictReader(io.StringIO(target.getvalue())))
    expected = [ids.write_id(ids.EVENT, e.event_id) for e in (authorized, repeated, captured)]
    assert expected == [row["event_id"] for row in rows]


def test_a_circle_of_chains_is_not_passed_over(store: FolderStore, tmp_path: Path) -> None:
    first = paths(tmp_path)[0]
    last = verify(store).heads[-1]

    def follow_the_last(lines: list[bytes]) -> list[bytes]:
        follows = json.dumps(msgspec.to_builtins(last)).encode()
        return [lines[0].replace(b'"follows":null', b'"follows":' + follows), *lines[1:]]

    rewrite(first, follow_the_last)
    report = verify(store)
    assert 6 == report.objects
    assert not report.whole


DAY = timedelta(days=1)


@pytest.fixture
def days(tmp_path: Path) -> FolderStore:
    """Give a log of one chain over three days and one that follows it on the third."""
    store = FolderStore(tmp_path)
    chain = Chain("us-east-1", chain_of(NOW - DAY * 2), None)
    for age in (2, 2, 1):
        write(store, chain, at=NOW - DAY * age)
    head = write(store, chain, at=NOW - DAY)
    write(store, Chain("us-east-1", chain_of(NOW), head), at=NOW)
    return store


def chain_of(at: datetime) -> str:
    """Return a chain's id as it is drawn at a time."""
    return f"{int(at.timestamp() * 1000):012x}{ids.new_id().hex()[12:]}"


def test_behind_what_has_expired_a_log_is_taken_up_at_its_word_and_says_so(
    days: FolderStore, tmp_path: Path
) -> None:
    for path in paths(tmp_path)[:2]:
        path.unlink()
    assert not verify(days).whole
    report = verify(days, NOW - DAY)
    assert ([], 2, 3) == (report.breaks, report.chains, report.objects)
    assert [2] == [found.sequence for found in report.beginnings]
    told = io.StringIO()
    assert 6 == export(days, told, NOW - DAY * 3, NOW + DAY)


def test_a_chain_that_follows_what_has_expired_says_so(days: FolderStore, tmp_path: Path) -> None:
    for path in paths(tmp_path)[:4]:
        path.unlink()
    report = verify(days, NOW - timedelta(hours=1))
    assert ([], [0]) == (report.breaks, [found.sequence for found in report.beginnings])


@pytest.mark.parametrize("number", [3, 4])
def test_within_the_time_what_is_missing_is_missed(
    days: FolderStore, tmp_path: Path, number: int
) -> None:
    newest = verify(days).heads[-1]
    write(days, Chain("us-east-1", chain_of(NOW + timedelta(minutes=1)), newest), at=NOW)
    assert verify(days, NOW - DAY).whole
    paths(tmp_path)[number].unlink()
    assert not verify(days, NOW - DAY).whole


def test_an_export_has_each_event_of_the_time_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    old, now, repeated = event(NOW - timedelta(days=1)), event(reference="=1+1"), event()
    chain = Chain("us-east-1", ids.new_id().hex(), None)
    write(store, chain, old, at=NOW - timedelta(days=1))
    head = write(store, chain, now)
    write(store, chain, repeated)
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


def test_where_there_is_no_log_nothing_is_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == cli.main(["journal", "verify", str(tmp_path)])
    assert "There is no object of a log there" in capsys.readouterr().err


def test_two_objects_that_changed_places_are_named(store: FolderStore, tmp_path: Path) -> None:
    one, other = paths(tmp_path)[1:3]
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    report = verify(store)
    broken = {Path(found.key).name for found in report.breaks}
    assert {one.name, other.name} <= broken


def test_a_folder_that_is_not_there_is_a_mistake_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == cli.main(["journal", "verify", str(tmp_path / "nowhere")])
    assert "There is no folder" in capsys.readouterr().err

"""Each check finds what breaks its invariant, in a database that is prepared so, and else nothing.

One short run of the real service leaves a sound database, history and log; each test breaks a copy.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator

import msgspec
import psycopg
import pytest
from psycopg import sql
from tests.drill.world import books_of, drill, evidence_of
from tests.faults.world import Supervised
from tests.support.postgres import Database, Server
from tests.support.service import Merchant, create_merchant

from evertill.domain.rules import MerchantTerms
from evertill.drill.checker import Evidence, Verdict, judge
from evertill.drill.history import OK, Attempt, Ended, History, Sent, Story
from evertill.drill.log import Entry
from evertill.drill.writers import Epoch

PLENTY = MerchantTerms(payments_per_s_max=100_000)
LOAD_S = 2.0
CAPTURED = "(SELECT payment_id FROM payments WHERE status = 'captured' LIMIT 1)"


class Sound:
    """What a run without any fault left."""

    def __init__(
        self, server: Server, database: Database, merchant: Merchant, evidence: Evidence
    ) -> None:
        """Keep it."""
        self._server = server
        self._database = database
        self._merchant = merchant
        self.evidence = evidence

    def broken_by(self, *statements: str) -> Verdict:
        """Judge a copy of the database in which `statements` were carried out."""
        name = f"broken_{secrets.token_hex(6)}"
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        names = (sql.Identifier(name), sql.Identifier(self._database.name))
        with psycopg.connect(self._server.admin, autocommit=True) as connection:
            connection.execute(copy.format(*names))
        database = self._server.database(name)
        for statement in statements:
            database.rows(statement)
        books = books_of(database, self._merchant)
        with psycopg.connect(self._server.admin, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        return judge(msgspec.structs.replace(self.evidence, books=books))

    def with_history(self, change: Callable[[History], None]) -> Verdict:
        """Judge a history that `change` has changed."""
        begun, stories = self.evidence.history.begun, {}
        for number, story in self.evidence.history.stories.items():
            stories[number] = Story(story.request)
            stories[number].attempts = [_copied(each) for each in story.attempts]
            stories[number].closed = story.closed
        history = History(begun, stories, [])
        change(history)
        return judge(msgspec.structs.replace(self.evidence, history=history))

    def story(self, operation: str = "create") -> Story:
        """Return an acknowledged request."""
        every = self.evidence.history.stories.values()
        return next(s for s in every if s.request.operation == operation and s.acknowledged)


def _copied(attempt: Attempt) -> Attempt:
    copied = Attempt(attempt.sent)
    copied.ended = attempt.ended
    return copied


@pytest.fixture(scope="module")
def sound(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sound]:
    """Take payments for a moment, and stop the service."""
    folder = tmp_path_factory.mktemp("sound")
    with postgres.fresh_database() as database:
        merchant = create_merchant(database, PLENTY)
        service = Supervised(database, folder, workers=1, log_folder=str(folder / "log"))

        async def story(_: Callable[[], float]) -> None:
            await asyncio.sleep(LOAD_S)

        async def whole() -> Evidence:
            history = await drill(service.url, merchant.key, folder, story)
            return await evidence_of(history, database, merchant, folder / "log")

        with service.running():
            evidence = asyncio.run(whole())
        yield Sound(postgres, database, merchant, evidence)


def found(verdict: Verdict, invariant: str) -> list[str]:
    """Return what was found of one invariant."""
    return [each for each in verdict.violations if each.startswith(f"{invariant}:")]


def test_nothing_is_found_where_all_is_well(sound: Sound) -> None:
    verdict = sound.broken_by()
    assert [] == verdict.violations
    assert ([], [], 0, 0) == (
        verdict.lost,
        verdict.phantoms,
        verdict.duplicates,
        verdict.unbalanced,
    )
    operations = {s.request.operation for s in sound.evidence.history.stories.values()}
    assert {"create", "capture", "cancel", "refunds"} == operations


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE balances SET merchant_pending = merchant_pending + 1, fees = fees - 1",
        f"DELETE FROM transfers WHERE subject_id = {CAPTURED}",
        f"UPDATE transfers SET amount_minor = amount_minor + 1 WHERE subject_id = {CAPTURED}",
    ],
)
def test_i1_finds_money_that_is_not_conserved(sound: Sound, statement: str) -> None:
    # Some of it stands in batches that are not folded yet; folding is what the balances rely on.
    unguarded = "ALTER TABLE transfers DISABLE TRIGGER USER"
    verdict = sound.broken_by("SELECT fold_balances(10000)", unguarded, statement)
    assert found(verdict, "I1")
    assert 0 < verdict.unbalanced


def test_i2_finds_a_payment_that_was_answered_to_two_keys(sound: Sound) -> None:
    first = sound.story()

    def change(history: History) -> None:
        other = next(
            s
            for s in history.stories.values()
            if s.request.operation == "create" and s.request.number != first.request.number
        )
        _answer(other, first.acknowledged)

    verdict = sound.with_history(change)
    assert found(verdict, "I2")
    assert 0 < verdict.duplicates


def test_i2_finds_a_key_under_which_two_things_were_stored(sound: Sound) -> None:
    verdict = sound.broken_by(
        "ALTER TABLE events DROP CONSTRAINT events_key_digest_key",
        "UPDATE events SET key_digest = (SELECT key_digest FROM events ORDER BY event_id LIMIT 1)"
        " WHERE event_id = (SELECT event_id FROM events ORDER BY event_id DESC LIMIT 1)",
    )
    assert found(verdict, "I2")


def test_i3_lists_an_acknowledged_payment_that_is_gone(sound: Sound) -> None:
    story = sound.story()
    assert story.acknowledged is not None
    payment = msgspec.json.decode(story.acknowledged.answer)["id"]
    verdict = sound.broken_by(f"DELETE FROM events WHERE payment_id = '{payment[4:]}'")
    assert payment in {each.payment for each in verdict.lost}


def test_i3_finds_an_answer_that_is_stored_otherwise(sound: Sound) -> None:
    verdict = sound.broken_by("UPDATE events SET answer = answer || ' ' WHERE key_digest NOTNULL")
    assert found(verdict, "I3")


def test_i3_finds_a_request_that_was_refused_for_good_and_is_stored(sound: Sound) -> None:
    number = sound.story().request.number

    def change(history: History) -> None:
        story = history.stories[number]
        for attempt in story.attempts:
            attempt.ended = Ended(number, attempt.sent.attempt, 1, "failed", 422)

    assert found(sound.with_history(change), "I3")


def test_i4_finds_a_payment_that_nobody_sent(sound: Sound) -> None:
    number = sound.story().request.number

    def change(history: History) -> None:
        del history.stories[number]

    assert found(sound.with_history(change), "I4")


def test_i4_finds_a_payment_without_an_event(sound: Sound) -> None:
    verdict = sound.broken_by(f"DELETE FROM events WHERE payment_id = {CAPTURED}")
    assert found(verdict, "I4")


def test_i5_finds_a_replay_with_another_answer(sound: Sound) -> None:
    number = sound.story().request.number

    def change(history: History) -> None:
        story = history.stories[number]
        told = story.acknowledged
        assert told is not None
        _answer(story, msgspec.structs.replace(told, answer=told.answer + " "))

    assert found(sound.with_history(change), "I5")


def test_i6_finds_two_regions_that_wrote_beside_each_other(sound: Sound) -> None:
    """Half of what was taken is told to have been taken by the other region, all the time."""
    history = sound.evidence.history
    middle_at = history.begun.began_at + LOAD_S / 2
    epochs = [Epoch(1, "here", history.begun.began_at), Epoch(2, "there", middle_at)]

    def change(changed: History) -> None:
        for number, story in changed.stories.items():
            if number % 2:
                for attempt in story.attempts:
                    sent = msgspec.structs.replace(attempt.sent, region="there")
                    attempt.sent = sent

    evidence = sound.evidence
    sound.evidence = msgspec.structs.replace(evidence, epochs=epochs)
    try:
        verdict = sound.with_history(change)
    finally:
        sound.evidence = evidence
    assert found(verdict, "I6")
    assert LOAD_S * 500 < verdict.dual_writer_ms


def test_i6_finds_no_overlap_where_one_region_follows_the_other(sound: Sound) -> None:
    history = sound.evidence.history
    half_s = LOAD_S / 2
    epochs = [
        Epoch(1, "here", history.begun.began_at),
        Epoch(2, "there", history.begun.began_at + half_s),
    ]

    def change(changed: History) -> None:
        for number in list(changed.stories):
            story = changed.stories[number]
            ends_s = max(a.ended.ended_s for a in story.attempts if a.ended is not None)
            if story.attempts[0].sent.sent_s < half_s < ends_s:
                # What was under way at the change is left out of this story.
                del changed.stories[number]
            elif story.attempts[0].sent.sent_s > half_s:
                for attempt in story.attempts:
                    attempt.sent = msgspec.structs.replace(attempt.sent, region="there")

    evidence = sound.evidence
    sound.evidence = msgspec.structs.replace(evidence, epochs=epochs)
    try:
        verdict = sound.with_history(change)
    finally:
        sound.evidence = evidence
    assert [] == found(verdict, "I6")


def test_i6_finds_a_database_that_takes_a_stale_epoch(sound: Sound) -> None:
    verdict = sound.broken_by(
        "CREATE OR REPLACE FUNCTION check_authority(of_epoch bigint, lease_end timestamptz)"
        " RETURNS void LANGUAGE sql AS ''"
    )
    assert found(verdict, "I6")


def test_i7_finds_an_event_that_was_never_delivered(sound: Sound) -> None:
    (log,) = sound.evidence.logs
    cut = msgspec.structs.replace(log, entries=log.entries[1:])
    verdict = judge(msgspec.structs.replace(sound.evidence, logs=[cut]))
    assert found(verdict, "I7")


def test_i7_finds_events_that_were_delivered_out_of_order(sound: Sound) -> None:
    (log,) = sound.evidence.logs
    turned = msgspec.structs.replace(log, entries=log.entries[::-1])
    verdict = judge(msgspec.structs.replace(sound.evidence, logs=[turned]))
    assert found(verdict, "I7")


def test_a_delivered_event_that_no_database_holds_is_a_phantom(sound: Sound) -> None:
    (log,) = sound.evidence.logs
    phantom = Entry("evt_" + "0" * 32, "pay_" + "0" * 32, "payment.captured", "here")
    more = msgspec.structs.replace(log, entries=[*log.entries, phantom])
    verdict = judge(msgspec.structs.replace(sound.evidence, logs=[more]))
    assert [phantom.event] == verdict.phantoms


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type = 'payment.canceled' WHERE type = 'payment.refunded'",
        "UPDATE payments SET status = 'captured' WHERE status = 'canceled'",
        "DELETE FROM refunds",
    ],
)
def test_i8_finds_what_no_payment_can_go_through(sound: Sound, statement: str) -> None:
    assert found(sound.broken_by(statement), "I8")


def test_i9_finds_a_log_that_breaks(sound: Sound) -> None:
    (log,) = sound.evidence.logs
    broken = msgspec.structs.replace(log, breaks=["an object is missing"])
    verdict = judge(msgspec.structs.replace(sound.evidence, logs=[broken]))
    assert ["I9: here: an object is missing"] == found(verdict, "I9")


def test_i10_finds_a_request_that_never_ended(sound: Sound) -> None:
    number = sound.story().request.number

    def change(history: History) -> None:
        history.stories[number].attempts[0].ended = None
        history.stories[number].closed = None

    assert 2 == len(found(sound.with_history(change), "I10"))


def test_i10_finds_an_answer_that_came_too_late(sound: Sound) -> None:
    number = sound.story().request.number

    def change(history: History) -> None:
        (attempt, *_) = history.stories[number].attempts
        assert attempt.ended is not None
        late_s = attempt.sent.sent_s + 30
        attempt.ended = msgspec.structs.replace(attempt.ended, ended_s=late_s, took_s=30)

    assert found(sound.with_history(change), "I10")


def _answer(story: Story, told: Ended | None) -> None:
    """Let a story have one more answer, which somebody else was told."""
    assert told is not None
    assert OK == told.outcome
    number, attempt = story.request.number, len(story.attempts) + 1
    story.attempts.append(Attempt(Sent(number, attempt, told.ended_s, "here", "")))
    story.attempts[-1].ended = msgspec.structs.replace(told, number=number, attempt=attempt)

"""After a failover that lost something, every difference is found, sorted, decided and settled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.recovery.books import (
    Side,
    broken_histories,
    carry_out,
    failed_over,
    one,
    proposal_of,
    sources,
    state,
)
from tests.storage.parts import balance, merchant_with
from tests.support.postgres import Database, Server

from evertill.domain.rules import Merchant
from evertill.recovery.reconciliation.comparing import NotFailedOver
from evertill.recovery.reconciliation.differences import Choice, Sort
from evertill.recovery.reconciliation.reconciling import look


@pytest.fixture
def merchant(database: Database) -> Merchant:
    return merchant_with(database, fee_basis_points=100)


@pytest.fixture
def old(database: Database, merchant: Merchant) -> Side:
    side = Side(database)
    side.take(merchant, 500)
    return side


@pytest.fixture
def new(old: Side, postgres: Server) -> Iterator[Side]:
    with failed_over(postgres, old.database) as side:
        yield side


def settle(old: Side, new: Side, **decisions: Choice | None) -> None:
    """Decide as proposed, and as told for some; afterwards nothing is open and the books are right.

    To do it once more changes nothing.
    """
    findings = look(sources(old.database, new))
    proposal = proposal_of(findings, **decisions)
    results = carry_out(old.database, new, proposal)
    assert [] == [result.refused for result in results if result.refused]
    after = look(sources(old.database, new))
    assert [] == [item.reasons for item in after.open]
    assert after.is_explained
    assert [] == broken_histories(new.database)
    settled = state(new.database)
    assert [] == carry_out(old.database, new, proposal)
    assert settled == state(new.database)


def test_what_both_have_and_what_only_the_new_primary_took_is_no_difference(
    old: Side, new: Side, merchant: Merchant
) -> None:
    taken = new.take(merchant, 700)
    new.refund(merchant, taken, 100)
    findings = look(sources(old.database, new))
    assert [] == findings.open
    assert (1, 0, 2) == findings.books.events
    assert (1, 0, 1) == findings.books.payments
    assert findings.is_explained


def test_a_payment_that_only_the_old_region_took_is_recorded_again_as_it_was_answered(
    old: Side, new: Side, merchant: Merchant
) -> None:
    lost = old.take(merchant, 900, key="k1")
    found = one(look(sources(old.database, new)))
    assert (Sort.ONLY_OLD, Choice.REPLAY, lost) == (found.sort, found.proposal, found.subject)
    settle(old, new)
    assert balance(old.database, merchant) == balance(new.database, merchant)
    # The client's retry in the new region is answered as the lost region answered.
    assert lost == new.take(merchant, 900, key="k1", source=source_of(old, lost))
    answers = "SELECT event_id, answer, created_at FROM events WHERE payment_id = %s"
    payment_id = [lost.removeprefix("pay_")]
    assert old.database.rows(answers, payment_id) == new.database.rows(answers, payment_id)


def source_of(side: Side, payment: str) -> str:
    rows = side.database.rows(
        "SELECT source FROM payments WHERE payment_id = %s", [payment.removeprefix("pay_")]
    )
    return str(rows[0][0])


def test_a_history_that_was_lost_is_recorded_again_in_its_order(
    old: Side, new: Side, merchant: Merchant
) -> None:
    lost = old.take(merchant, 900, capture=False)
    old.capture(merchant, lost, 600)
    old.refund(merchant, lost, 200)
    old.take(merchant, 0x7FFFFFFF)
    settle(old, new)
    assert balance(old.database, merchant) == balance(new.database, merchant)


def test_moves_of_a_payment_that_both_have_are_recorded_again(
    database: Database, postgres: Server, merchant: Merchant
) -> None:
    old = Side(database)
    held, sold, left = (
        old.take(merchant, 900, capture=is_sale) for is_sale in (False, True, False)
    )
    with failed_over(postgres, database) as new:
        old.capture(merchant, held)
        old.refund(merchant, sold, 300)
        old.cancel(merchant, left)
        settle(old, new)
        assert balance(old.database, merchant) == balance(new.database, merchant)


def test_one_key_with_one_outcome_in_both_regions_is_one_payment(
    old: Side, new: Side, merchant: Merchant
) -> None:
    for side in (old, new):
        side.take(merchant, 900, key="k1", source="tok_a")
    found = one(look(sources(old.database, new)))
    assert (Sort.CONFLICTING, Choice.ADOPT) == (found.sort, found.proposal)
    before = balance(new.database, merchant)
    settle(old, new)
    assert before == balance(new.database, merchant)


def test_one_key_that_asked_for_two_things_is_for_a_person(
    old: Side, new: Side, merchant: Merchant
) -> None:
    lost = old.take(merchant, 900, key="k1")
    new.take(merchant, 500, key="k1")
    found = one(look(sources(old.database, new)))
    assert (Sort.CONFLICTING, "human") == (found.sort, found.proposal)
    assert [Choice.ADOPT, Choice.COMPENSATE] == found.choices
    before = balance(new.database, merchant)["receivable"]
    settle(old, new, **{lost: Choice.COMPENSATE})
    assert before - 400 == balance(new.database, merchant)["receivable"]


def test_a_capture_that_the_new_region_canceled_is_for_a_person(
    database: Database, postgres: Server, merchant: Merchant
) -> None:
    old = Side(database)
    held = old.take(merchant, 1000, capture=False)
    with failed_over(postgres, database) as new:
        old.capture(merchant, held, 800)
        new.cancel(merchant, held)
        found = one(look(sources(old.database, new)))
        assert (Sort.CONFLICTING, "human") == (found.sort, found.proposal)
        assert [Choice.ADOPT, Choice.COMPENSATE] == found.choices
        assert {} == balance(new.database, merchant)
        settle(old, new, **{held: Choice.COMPENSATE})
        assert balance(new.database, merchant) == balance(old.database, merchant)


def test_nothing_is_done_about_what_nobody_decided(
    old: Side, new: Side, merchant: Merchant
) -> None:
    lost = old.take(merchant, 900)
    before = state(new.database)
    proposal = proposal_of(look(sources(old.database, new)), **{lost: None})
    assert [] == carry_out(old.database, new, proposal)
    assert before == state(new.database)
    assert not look(sources(old.database, new)).is_explained


def test_refunds_of_both_regions_are_kept_where_both_fit_and_compensated_where_not(
    database: Database, postgres: Server, merchant: Merchant
) -> None:
    old = Side(database)
    some, much = old.take(merchant, 1000), old.take(merchant, 1000)
    with failed_over(postgres, database) as new:
        old.refund(merchant, some, 300)
        new.refund(merchant, some, 400)
        old.refund(merchant, much, 800)
        new.refund(merchant, much, 700)
        found = {item.subject: item for item in look(sources(old.database, new)).open}
        assert Choice.REPLAY == found[some].proposal
        assert "human" == found[much].proposal
        settle(old, new, **{much: Choice.COMPENSATE})
        assert 300 + 400 + 800 + 700 == balance(new.database, merchant)["refunds"]


def test_a_move_that_was_asked_for_again_under_its_key_is_the_same(
    database: Database, postgres: Server, merchant: Merchant
) -> None:
    old = Side(database)
    sold = old.take(merchant, 1000)
    with failed_over(postgres, database) as new:
        for side in (old, new):
            side.refund(merchant, sold, 300, key="r1")
        found = one(look(sources(old.database, new)))
        assert (Sort.SAME, Choice.ADOPT) == (found.sort, found.proposal)
        settle(old, new)


def test_a_purchase_that_was_taken_again_under_another_key_is_for_a_person(
    old: Side, new: Side, merchant: Merchant
) -> None:
    lost = old.take(merchant, 900, source="tok_a", ref="order 7")
    new.take(merchant, 900, source="tok_a", ref="order 7")
    found = one(look(sources(old.database, new)))
    assert "human" == found.proposal
    settle(old, new, **{lost: Choice.ADOPT})


def test_what_was_proposed_before_the_payment_moved_on_is_not_done(
    database: Database, postgres: Server, merchant: Merchant
) -> None:
    old = Side(database)
    held = old.take(merchant, 1000, capture=False)
    with failed_over(postgres, database) as new:
        old.capture(merchant, held)
        proposal = proposal_of(look(sources(old.database, new)))
        new.cancel(merchant, held)
        before = state(new.database)
        (result,) = carry_out(old.database, new, proposal)
        assert "changed since" in result.refused
        assert before == state(new.database)


def test_databases_between_which_nothing_was_failed_over_are_refused(old: Side) -> None:
    with pytest.raises(NotFailedOver):
        look(sources(old.database, old))

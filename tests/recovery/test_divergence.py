"""However two regions went on apart, all is sorted, and what is approved is done once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress

import pytest
from tests.recovery.books import (
    Side,
    broken_histories,
    carry_out,
    failed_over,
    proposal_of,
    sources,
    state,
)
from tests.storage.parts import merchant_with
from tests.support.postgres import Database, Server
from tests.support.service import wait_until

from evertill.domain.errors import EvertillError
from evertill.domain.rules import Merchant
from evertill.recovery.reconciliation.differences import Choice, Sort
from evertill.recovery.reconciliation.reconciling import look

SEEDS = (1, 2, 3, 4, 5, 6)
COMMON, APART = 8, 24
# Few, so that both regions often do something to the same payment or under the same key.
KEYS = [f"k{number}" for number in range(8)]

ALTER = "UPDATE events SET answer = answer || ' ' WHERE strpos(answer, ':200,') > 0"


def wander(side: Side, chance: random.Random, merchants: Sequence[Merchant], count: int) -> None:
    """Do whatever clients might: what the rules refuse is refused."""
    known = side.database.rows("SELECT 'pay_' || replace(payment_id::text, '-', '') FROM payments")
    payments = sorted(str(row[0]) for row in known)
    for _ in range(count):
        merchant, key = chance.choice(merchants), chance.choice([*KEYS, "", "", ""])
        amount = chance.randint(1, 9) * 100
        doing = chance.random()
        with suppress(EvertillError):
            if doing < 0.4 or not payments:
                source, is_sale = f"tok_{chance.randint(1, 6)}", chance.random() < 0.5
                taken = side.take(merchant, amount, key, source=source, capture=is_sale)
                payments.append(taken)
            elif doing < 0.6:
                side.capture(merchant, chance.choice(payments), amount, key)
            elif doing < 0.7:
                side.cancel(merchant, chance.choice(payments), key)
            else:
                side.refund(merchant, chance.choice(payments), amount, key)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_divergence_is_sorted_whole_and_settled_once(
    seed: int, database: Database, postgres: Server
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    merchants = [merchant_with(database, fee_basis_points=290) for _ in range(2)]
    old = Side(database)
    wander(old, chance, merchants, COMMON)
    with failed_over(postgres, database) as new:
        for side in (old, new):
            wander(side, chance, merchants, APART)
        findings = look(sources(database, new))
        assert {item.payment_id for item in findings.books.lost} == {
            bytes.fromhex(item.subject[4:]) for item in findings.open
        }
        decisions: dict[str, Choice | None] = {
            item.subject: chance.choice(item.choices) for item in findings.open
        }
        proposal = proposal_of(findings, **decisions)
        results = carry_out(database, new, proposal)
        assert [] == [result.refused for result in results if result.refused]
        after = look(sources(database, new))
        assert [] == [item.reasons for item in after.open]
        assert after.is_explained, after.new_health
        assert [] == broken_histories(new.database)
        settled = state(new.database)
        assert [] == carry_out(database, new, proposal)
        assert settled == state(new.database)


def test_an_expiry_in_both_regions_is_the_same(database: Database, postgres: Server) -> None:
    merchant = merchant_with(database, authorization_lifetime_s=1)
    old = Side(database)
    old.take(merchant, 900, capture=False)
    with failed_over(postgres, database) as new:
        for side in (old, new):
            wait_until(lambda side=side: side.expire() == 1, 20.0)  # type: ignore[misc] # - bound now
        (found,) = look(sources(database, new)).open
        assert (Sort.SAME, Choice.ADOPT) == (found.sort, found.proposal)


def test_a_row_that_was_written_past_the_functions_is_for_a_person(
    database: Database, postgres: Server
) -> None:
    merchant = merchant_with(database)
    old = Side(database)
    for amount in (100, 200, 300):
        old.take(merchant, amount)
    with failed_over(postgres, database) as new:
        new.database.rows("UPDATE payments SET reference = 'x' WHERE amount_minor = 100")
        new.database.rows(ALTER)
        kinds = {item.kind for item in look(sources(database, new)).open}
        assert {"payment row", "event"} == kinds


def test_a_merchant_that_only_the_old_region_made_is_told(
    database: Database, postgres: Server
) -> None:
    old = Side(database)
    old.take(merchant_with(database), 100)
    with failed_over(postgres, database) as new:
        late = merchant_with(database)
        lost = old.take(late, 900)
        found = {item.kind: item for item in look(sources(database, new)).open}
        assert {"payment", "merchant", "api key"} == set(found)
        assert (lost, "human") == (found["payment"].subject, found["payment"].proposal)

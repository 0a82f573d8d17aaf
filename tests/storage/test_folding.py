"""Balances: the same before and after what was posted is folded into them, and never twice."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from tests.storage.parts import balance, merchant_with, put, submission, with_pool
from tests.support.history import BALANCES_THAT_ARE_NOT_THEIR_ENTRIES
from tests.support.postgres import Database

from evertill.service.jobs import fold

PROCESSES = 4
SOLD = {"receivable": -1500, "pending": 1457, "fees": 43}


def unfolded(database: Database) -> int:
    return int(database.rows("SELECT count(*) FROM unfolded_batches")[0][0])


def fold_all(database: Database) -> None:
    with_pool(database, fold)


def test_a_payment_counts_before_it_is_folded(database: Database) -> None:
    merchant = merchant_with(database, fee_basis_points=290)
    put(database, submission(merchant, 1000), submission(merchant, 500))
    assert 1 == unfolded(database)
    assert [] == database.rows("SELECT * FROM balances")
    assert SOLD == balance(database, merchant)


def test_folding_changes_no_balance_and_forgets_what_it_folded(database: Database) -> None:
    merchant = merchant_with(database, fee_basis_points=290)
    put(database, submission(merchant, 1000), submission(merchant, 500))
    before = balance(database, merchant)
    fold_all(database)
    assert before == balance(database, merchant)
    assert 0 == unfolded(database)
    assert 1 == len(database.rows("SELECT * FROM balances"))
    assert [] == database.rows(BALANCES_THAT_ARE_NOT_THEIR_ENTRIES)


def test_what_is_posted_later_is_added_to_what_was_folded(database: Database) -> None:
    merchant = merchant_with(database)
    for amount in (100, 20, 3):
        put(database, submission(merchant, amount))
        fold_all(database)
    put(database, submission(merchant, 4))
    assert {"receivable": -127, "pending": 127} == balance(database, merchant)


def test_processes_that_fold_at_once_count_each_batch_once(database: Database) -> None:
    merchants = [merchant_with(database) for _ in range(3)]
    for amount in range(1, 61):
        put(database, *[submission(merchant, amount) for merchant in merchants])
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as processes:
        list(processes.map(fold_all, [database] * PROCESSES))
    # A process that comes while another one folds leaves the rest to it, so look once more.
    fold_all(database)
    assert 0 == unfolded(database)
    paid = sum(range(1, 61))
    for merchant in merchants:
        assert {"receivable": -paid, "pending": paid} == balance(database, merchant)
    assert [] == database.rows(BALANCES_THAT_ARE_NOT_THEIR_ENTRIES)

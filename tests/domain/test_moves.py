"""A payment moves along the state machine and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from evertill.domain import moves
from evertill.domain.errors import AmountTooLarge, IllegalTransition
from evertill.domain.payments import StoredPayment
from evertill.domain.rules import Merchant, MerchantTerms
from evertill.domain.states import MOVES, State, check_move

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MERCHANT = Merchant(1, active=True, terms=MerchantTerms(fee_basis_points=290))


def payment(status: State, captured: int = 0, refunded: int = 0) -> StoredPayment:
    return StoredPayment(
        merchant_id=1,
        payment_id=b"\1" * 16,
        status=status,
        currency="USD",
        exponent=2,
        amount_minor=1000,
        captured_minor=captured,
        refunded_minor=refunded,
        fee_minor=0,
        source="tok_1",
        reference=None,
        description=None,
        decline_code=None,
        created_at=NOW,
        captured_at=None,
        expires_at=NOW + timedelta(days=7),
    )


@pytest.mark.parametrize(("current", "target"), list(product(State, State)))
def test_only_the_moves_of_the_map_are_legal_and_others_name_both_states(
    current: State, target: State
) -> None:
    if target in MOVES[current]:
        check_move(current, target)
    else:
        with pytest.raises(IllegalTransition, match=rf"{current}.*{target}"):
            check_move(current, target)


def test_a_capture_takes_a_part_and_releases_the_rest() -> None:
    move = moves.capture(payment(State.AUTHORIZED), 400, MERCHANT, NOW)
    assert (State.CAPTURED, 400, 12) == (
        move.payment.status,
        move.payment.captured_minor,
        move.payment.fee_minor,
    )
    assert [400, 600] == [transfer.amount_minor for transfer in move.transfers]


def test_a_capture_beyond_what_was_authorized_is_refused() -> None:
    with pytest.raises(AmountTooLarge):
        moves.capture(payment(State.AUTHORIZED), 1001, MERCHANT, NOW)


@pytest.mark.parametrize("seconds", [0, 1])
def test_from_its_expiry_on_an_authorization_cannot_be_captured_or_canceled(seconds: int) -> None:
    late = NOW + timedelta(days=7, seconds=seconds)
    with pytest.raises(IllegalTransition, match="expired"):
        moves.capture(payment(State.AUTHORIZED), None, MERCHANT, late)
    with pytest.raises(IllegalTransition, match="expired"):
        moves.cancel(payment(State.AUTHORIZED), late)


def test_just_before_its_expiry_an_authorization_can_be_captured() -> None:
    early = NOW + timedelta(days=7, microseconds=-1)
    move = moves.capture(payment(State.AUTHORIZED), None, MERCHANT, early)
    assert State.CAPTURED == move.payment.status


def test_refunds_add_up_to_what_was_captured_and_no_further() -> None:
    part = moves.refund(payment(State.CAPTURED, 1000), 400, settled=False)
    assert State.PARTIALLY_REFUNDED == part.payment.status
    rest = moves.refund(part.payment, None, settled=False)
    assert (State.REFUNDED, 600) == (rest.payment.status, rest.refund_minor)
    with pytest.raises(IllegalTransition):
        moves.refund(rest.payment, 1, settled=False)
    with pytest.raises(AmountTooLarge):
        moves.refund(part.payment, 601, settled=False)


@pytest.mark.parametrize("status", [State.AUTHORIZED, State.DECLINED, State.CANCELED])
def test_what_was_never_captured_cannot_be_refunded(status: State) -> None:
    with pytest.raises(IllegalTransition):
        moves.refund(payment(status), None, settled=False)

"""What a payment looks like to those who ask for it, however it is written."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from evertill.domain.money import exponent
from evertill.domain.payments import Payment, write_captured
from evertill.domain.rules import Attempt
from evertill.domain.states import State

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=64)
SOURCES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


@given(
    payment_id=st.binary(min_size=16, max_size=16),
    amount=st.integers(1, 999_999_999_999),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    source=SOURCES,
    reference=st.none() | TEXTS,
    description=st.none() | TEXTS,
    at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone is given beside it
)
def test_the_form_of_a_captured_payment_is_what_its_type_encodes_to(  # noqa: PLR0917 - drawn
    payment_id: bytes,
    amount: int,
    currency: str,
    source: str,
    reference: str | None,
    description: str | None,
    at: datetime,
) -> None:
    attempt = Attempt(amount, currency, source, reference)
    written = write_captured(payment_id, attempt, description, 7, msgspec.json.encode(at).decode())
    payment = Payment(
        id="pay_" + payment_id.hex(),
        status=State.CAPTURED,
        amount=amount,
        currency=currency,
        exponent=exponent(currency),
        amount_captured=amount,
        amount_refunded=0,
        fee=7,
        source=source,
        reference=reference,
        description=description,
        decline=None,
        created_at=at,
        expires_at=None,
    )
    assert msgspec.json.encode(payment) == written

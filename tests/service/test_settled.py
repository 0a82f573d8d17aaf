"""What a merchant may do with payments whose money has become available."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

from tests.storage.parts import put, submission, unshared, with_pool
from tests.support.service import Api, create_merchant, problem_of

from evertill.domain import ids
from evertill.domain.rules import Merchant, MerchantTerms
from evertill.service.jobs import settle

FEE = 32  # 2.9 % of 10.99, rounded half to even


def test_a_refund_beyond_what_is_available_is_a_409_and_moves_nothing(api: Api) -> None:
    """The fee on a settled payment is gone, so all of the payment cannot be paid back out of it."""
    database = api.service.database
    terms = MerchantTerms()
    created = create_merchant(database, terms)
    settled = submission(Merchant(created.merchant_id, active=True, terms=terms), 1099)
    put(database, settled, at=datetime.now(UTC) - timedelta(days=3))
    with_pool(database, lambda pool: settle(pool, unshared))
    with closing(api.sibling(created)) as other:
        before = other.state()
        path = f"/v1/payments/{ids.write_id(ids.PAYMENT, settled.payment_id)}/refunds"
        refused = other.post(path, {})
        assert (409, "insufficient_funds") == problem_of(refused)
        assert before == other.state()
        assert 201 == other.post(path, {"amount": 1099 - FEE}).status_code

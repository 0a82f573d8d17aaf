"""Taking one payment from the command line.

It is separate from the command's options so that what is sent for which input can be tested alone.
The source that is made up when none is given depends on the idempotency key only: a retry with the
same key then has the same body, and a new payment a new source.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from evertill.client.api import Client, Taken
from evertill.client.wire import NewPayment
from evertill.domain.money import to_major, to_minor

SOURCE_DIGEST_BYTES: Final = 6


def source_for(key: str) -> str:
    """Return a made-up source token for the payment with this idempotency key."""
    return "tok_" + blake2b(key.encode(), digest_size=SOURCE_DIGEST_BYTES).hexdigest()


def pay(
    client: Client,
    key: str,
    amount: str,
    currency: str,
    source: str | None,
    *,
    reference: str | None = None,
    capture: bool = True,
) -> Taken:
    """Take a payment of `amount` major units, exactly.

    Raise InvalidRequest when the amount is no exact amount of the currency, and whatever
    `Client.create_payment` raises.
    """
    payment = NewPayment(
        amount=to_minor(amount, currency),
        currency=currency,
        source=source or source_for(key),
        capture=capture,
        reference=reference,
    )
    return client.create_payment(payment, key)


def as_text(taken: Taken) -> str:
    """Say in one line what became of the payment."""
    payment = taken.payment
    again = " (this key was answered before; nothing new was taken)" if taken.replayed else ""
    reason = f": {payment.decline.message} ({payment.decline.code})" if payment.decline else ""
    amount = f"{to_major(payment.amount, payment.currency)} {payment.currency}"
    return f"{payment.id} {payment.status} {amount}{reason}{again}"


def as_json(taken: Taken, key: str) -> str:
    """Say it as one JSON object; the amount is in minor units."""
    body = msgspec.to_builtins(taken.payment)
    body |= {"idempotency_key": key, "replayed": taken.replayed}
    return msgspec.json.encode(body).decode()
